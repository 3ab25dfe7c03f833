# Three hub nodes and a leaf: what is sold while the line is cut arrives once, and a hub node may die.
{
  leafbox,
  nats-server,
  pkgs,
  ...
}:
let
  inherit (pkgs) lib;
  fleet = ../../hosts/fleet.toml;
  hubs = [
    "hub-1"
    "hub-2"
    "hub-3"
  ];
  keys = import ./parts/keys.nix {
    inherit
      fleet
      leafbox
      nats-server
      pkgs
      ;
    operator = "edge-minipc";
    nodes = lib.genAttrs hubs (_: "hub") // {
      edge-pi = "leaf";
    };
  };
  hub = name: {
    imports = [
      (import ./parts/node.nix {
        inherit keys name;
        role = "hub";
        credentials = [
          "hub.crt"
          "hub.key"
        ];
      })
    ];
    services.leafbox = {
      fleet = lib.importTOML fleet;
      openFirewall = true;
      settings = {
        nats = {
          leaf = "[::]:7422";
          route = "[::]:6222";
          tls.leaf = {
            cert = "hub.crt";
            key = "hub.key";
          };
        };
        cluster = {
          routes = map (other: "nats-route://${other}:6222") (lib.remove name hubs);
          # The test's own wire.
          trusted_network = true;
        };
      };
    };
  };
in
{
  name = "leafbox-hub-of-three";

  nodes = lib.genAttrs hubs hub // {
    edge-pi = {
      imports = [
        (import ./parts/node.nix {
          inherit keys;
          name = "edge-pi";
          role = "leaf";
          credentials = [ "hub.crt" ];
        })
      ];
      services.leafbox = {
        fleet = lib.importTOML fleet;
        settings.uplink = {
          urls = map (name: "tls://${name}:7422") hubs;
          # It signed itself.
          ca = "hub.crt";
        };
      };
    };
  };

  testScript = ''
    ${import ./parts/steps.nix { inherit keys; }}

    hubs = [hub_1, hub_2, hub_3]
    start_all()
    for machine in [*hubs, edge_pi]:
        wait_ready(machine)

    sell(edge_pi, "first")
    for hub in hubs:
        wait_stored(hub, 1)

    with subtest("the line is cut"):
        edge_pi.block()
        for article in range(50):
            sell(edge_pi, article)
        assert stored(edge_pi) >= 50, stored(edge_pi)
        assert stored(hub_1) == 1, stored(hub_1)
        edge_pi.unblock()
        for hub in hubs:
            wait_stored(hub, 51)
        wait_stored(edge_pi, 0)

    with subtest("a hub node loses its power"):
        hub_1.crash()
        for article in range(10):
            sell(edge_pi, article)
        for hub in [hub_2, hub_3]:
            wait_stored(hub, 61)
        hub_1.start()
        wait_ready(hub_1)
        wait_stored(hub_1, 61)
  '';
}
