# What must not start, and that nothing is lost by the attempt.
{
  leafbox,
  nats-server,
  pkgs,
  ...
}:
let
  fleet = ../../hosts/fleet.toml;
  keys = import ./parts/keys.nix {
    inherit
      fleet
      leafbox
      nats-server
      pkgs
      ;
    operator = "edge-minipc";
    nodes.edge-pi = "leaf";
  };
in
{
  name = "leafbox-refused";

  nodes.edge =
    { lib, ... }:
    {
      imports = [
        (import ./parts/node.nix {
          inherit keys;
          name = "edge-pi";
          role = "leaf";
        })
      ];
      services.leafbox.fleet = lib.importTOML fleet;
    };

  testScript = ''
    ${import ./parts/steps.nix { inherit keys; }}

    edge.start()
    wait_ready(edge)
    sell(edge, "first")
    edge.succeed("cp /run/secrets/jetstream.key /root/jetstream.key")


    def refused(because):
        """Starts the node, which must fail for this reason."""
        begun = edge.succeed("date +@%s").strip()
        edge.fail("systemctl restart leafbox-nats.service")
        edge.succeed(f"journalctl --unit leafbox-nats.service --since {begun} --grep '{because}'")
        edge.systemctl("stop leafbox-nats.service")


    def right():
        """Brings the right key back: everything is there."""
        edge.succeed("cp /root/jetstream.key /run/secrets/jetstream.key")
        edge.succeed("systemctl start leafbox.target")
        wait_ready(edge)
        assert stored(edge) == 1, stored(edge)


    with subtest("the wrong JetStream key"):
        edge.succeed("tr 0-9a-zA-Z 1-9a-zA-Z0 </root/jetstream.key >/run/secrets/jetstream.key")
        refused("jetstream.key")
        right()

    with subtest("no JetStream key"):
        edge.succeed("rm /run/secrets/jetstream.key")
        refused("credentials")
        right()

    with subtest("a secret that others can read, where systemd does not guard it"):
        edge.succeed("mkdir --mode 700 /root/node /root/node/keys")
        edge.succeed("install -m 600 /run/secrets/* /root/node/keys/")
        edge.succeed("chmod 644 /root/node/keys/jetstream.key")
        edge.succeed("systemctl stop leafbox.target 'leafbox-*.service'")
        said = edge.fail("leafbox --data /root/node run 2>&1")
        assert "chmod 600 /root/node/keys/jetstream.key" in said, said
  '';
}
