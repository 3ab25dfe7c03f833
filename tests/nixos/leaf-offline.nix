# A leaf on a machine without a network starts, serves, and has everything after a power cut.
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
  name = "leafbox-leaf-offline";

  nodes.edge-pi = {
    imports = [ edge.node ];
    virtualisation.vlans = [ ];
    services.leafbox.settings.uplink.urls = [ "tls://hub-1.example.net:7422" ];
  };

  testScript = ''
    ${edge.steps}

    edge_pi.start()
    wait_ready(edge_pi)
    for article in range(20):
        assert sell(edge_pi, article) == article + 1

    with subtest("the power is cut"):
        edge_pi.crash()
        edge_pi.start()
        wait_ready(edge_pi)
        assert stored(edge_pi) == 20, stored(edge_pi)
        assert sell(edge_pi, 20) == 21

    with subtest("nats-server is killed, and hangs"):
        edge_pi.succeed("systemctl kill --signal=KILL --kill-whom=main leafbox-nats.service")
        wait_ready(edge_pi)
        edge_pi.succeed("systemctl kill --signal=STOP --kill-whom=main leafbox-nats.service")
        # The watchdog's two minutes.
        edge_pi.wait_until_succeeds("journalctl --unit leafbox-nats.service --grep 'Watchdog timeout'", timeout=300)
        wait_ready(edge_pi)
        assert stored(edge_pi) == 21, stored(edge_pi)

    with subtest("the console asks who comes"):
        edge_pi.wait_for_unit("leafbox-sse-bridge.service")
        edge_pi.succeed("curl --fail --silent --output /dev/null http://localhost:8080/login/")
        edge_pi.succeed("leafbox console enroll | grep --quiet '^http://localhost:8080/login/#enroll='")

    with subtest("no unit is more exposed than the documentation says"):
        limits = {"nats": 1.3} | dict.fromkeys(["apply", "uplink", "health", "registry", "sse-bridge"], 1.1)
        for unit, limit in limits.items():
            edge_pi.succeed(
                f"systemd-analyze security --threshold={int(limit * 10)} leafbox-{unit}.service"
            )
  '';
}
