# What must not start, and that nothing is lost by the attempt.
{
  leafbox,
  nats-server,
  pkgs,
  ...
}:
let
  edge = import ./parts/edge-pi.nix { inherit leafbox nats-server pkgs; };
in
{
  name = "leafbox-refused";

  nodes.edge-pi = edge.node;

  testScript = ''
    ${edge.steps}

    edge_pi.start()
    wait_ready(edge_pi)
    sell(edge_pi, "first")
    edge_pi.succeed("cp /run/secrets/jetstream.key /root/jetstream.key")


    def refused(because):
        """Starts the node, which must fail for this reason."""
        begun = edge_pi.succeed("date +@%s").strip()
        edge_pi.fail("systemctl restart leafbox-nats.service")
        edge_pi.succeed(f"journalctl --unit leafbox-nats.service --since {begun} --grep '{because}'")
        edge_pi.systemctl("stop leafbox-nats.service")


    def right():
        """Brings the right key back: everything is there."""
        edge_pi.succeed("cp /root/jetstream.key /run/secrets/jetstream.key")
        edge_pi.succeed("systemctl start leafbox.target")
        wait_ready(edge_pi)
        assert stored(edge_pi) == 1, stored(edge_pi)


    with subtest("the wrong JetStream key"):
        edge_pi.succeed("tr 0-9a-zA-Z 1-9a-zA-Z0 </root/jetstream.key >/run/secrets/jetstream.key")
        refused("jetstream.key")
        right()

    with subtest("no JetStream key"):
        edge_pi.succeed("rm /run/secrets/jetstream.key")
        refused("credentials")
        right()

    with subtest("a secret that others can read, where systemd does not guard it"):
        edge_pi.succeed("mkdir --mode 700 /root/node /root/node/keys")
        edge_pi.succeed("install -m 600 /run/secrets/* /root/node/keys/")
        edge_pi.succeed("chmod 644 /root/node/keys/jetstream.key")
        edge_pi.succeed("systemctl stop leafbox.target 'leafbox-*.service'")
        said = edge_pi.fail("leafbox --data /root/node run 2>&1")
        assert "chmod 600 /root/node/keys/jetstream.key" in said, said
  '';
}
