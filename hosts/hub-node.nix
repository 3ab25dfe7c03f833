# A hub of three: hub-1.nix, hub-2.nix and hub-3.nix say their names, this file the rest.
#
# The certificates come with sops-nix (secrets/README.md); routes prove both sides, so that they may
# cross a network that is not ours.
{ config, lib, ... }:
let
  inherit (config.services.leafbox) fleet;
  others = lib.remove config.networking.hostName fleet.nodes.hub;
in
{
  imports = [
    ./appliance.nix
    ./hub.nix
    ./vm.nix
  ];

  services.leafbox = {
    settings = {
      cluster.routes = map (name: "nats-route://${name}.example.net:6222") others;
      nats.route = "[::]:6222";
      nats.tls.route = {
        cert = "route.crt";
        key = "route.key";
        ca = "route-ca.crt";
        verify = true;
      };
    };
    credentials = lib.genAttrs [
      "hub.crt"
      "hub.key"
      "route.crt"
      "route.key"
      "route-ca.crt"
    ] (name: "/run/secrets/${name}");
  };
}
