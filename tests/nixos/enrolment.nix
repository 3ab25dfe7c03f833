# A machine that was given no secret makes its keys, asks, is let in, and serves.
{
  leafbox,
  nats-server,
  pkgs,
  ...
}:
let
  fleet = ../../hosts/fleet.toml;
in
{
  name = "leafbox-enrolment";

  nodes = {
    # Where a person has the operator's keys: nothing runs there.
    operator = {
      environment.systemPackages = [
        leafbox
        nats-server
      ];
    };
    edge-pi =
      { lib, pkgs, ... }:
      {
        services.leafbox = {
          enable = true;
          role = "leaf";
          fleet = lib.importTOML fleet;
          enroll.enable = true;
          settings.jetstream.max_storage = "2GiB";
        };
        virtualisation.diskSize = 4096;
        virtualisation.tpm.enable = true;
        environment.systemPackages = [
          pkgs.curl
          pkgs.jq
          pkgs.natscli
        ];
      };
  };

  testScript = ''
    keys = "/var/lib/leafbox-keys"
    start_all()

    with subtest("the operator's keys"):
        operator.succeed("mkdir fleet && cp ${fleet} fleet/fleet.toml")
        operator.succeed("printf 'name = \"edge-minipc\"\n' >fleet/node.toml")
        operator.succeed("leafbox --config fleet/node.toml dev --once --any-port")

    with subtest("the machine asks, and runs nothing"):
        edge_pi.wait_for_unit("leafbox-enroll.service")
        request = edge_pi.succeed(f"cat {keys}/request")
        for unit in ["nats", "apply", "uplink", "health", "registry", "sse-bridge"]:
            edge_pi.require_unit_state(f"leafbox-{unit}.service", "inactive")
        edge_pi.fail("ss --listening --no-header --tcp --numeric | grep --quiet ':4222'")

    with subtest("its keys are sealed"):
        edge_pi.fail(f"grep --recursive --quiet '^SA' {keys}")
        edge_pi.succeed(f"systemd-creds decrypt --name leafbox_jetstream.key {keys}/nats/jetstream.key -")

    with subtest("an answer for somebody else is refused"):
        edge_pi.fail("echo nothing of use | leafbox enroll accept -")
        edge_pi.fail(f"test -e {keys}/enrolled")

    with subtest("it is let in, and starts by itself"):
        operator.succeed(f"cat >request <<'END'\n{request}\nEND")
        operator.succeed("leafbox --config fleet/node.toml enroll approve --yes request --output answer")
        answer = operator.succeed("cat answer")
        edge_pi.succeed(f"leafbox enroll accept - <<'END'\n{answer}\nEND")
        for unit in ["health", "registry", "sse-bridge"]:
            edge_pi.wait_for_unit(f"leafbox-{unit}.service")
        edge_pi.wait_until_succeeds("leafbox health", timeout=180)

    with subtest("a till sells"):
        creds = operator.succeed("cat fleet/.data/keys/services/SHOP/till.creds")
        edge_pi.succeed(f"umask 077; cat >till.creds <<'END'\n{creds}\nEND")
        edge_pi.succeed(
            "nats --server nats://127.0.0.1:4222 --creds till.creds request --raw orders.new bread"
            " | jq --exit-status '.stream == \"ORDERS\"'"
        )

    with subtest("the next boot asks nobody"):
        edge_pi.shutdown()
        edge_pi.start()
        edge_pi.wait_until_succeeds("leafbox health", timeout=180)
        edge_pi.require_unit_state("leafbox-enroll.service", "inactive")
  '';
}
