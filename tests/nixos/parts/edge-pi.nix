# The Pi of hosts/ alone, with keys that were brought, and the steps that its tests take.
{
  leafbox,
  nats-server,
  pkgs,
}:
let
  fleet = ../../../hosts/fleet.toml;
  keys = import ./keys.nix {
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
  steps = import ./steps.nix { inherit keys; };
  node =
    { lib, ... }:
    {
      imports = [
        (import ./node.nix {
          inherit keys;
          name = "edge-pi";
          role = "leaf";
        })
      ];
      services.leafbox.fleet = lib.importTOML fleet;
    };
}
