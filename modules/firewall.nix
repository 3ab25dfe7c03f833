# Opens what the node itself declares, when asked to.
{ config, lib, ... }:
let
  cfg = config.services.leafbox;
  listeners = import ./listeners.nix {
    inherit lib;
    inherit (cfg) settings;
  };
  open = builtins.filter (listener: !listener.loopback && listener.port != 0) listeners.all;
in
{
  config = lib.mkIf (cfg.enable && cfg.openFirewall) {
    networking.firewall.allowedTCPPorts = lib.unique (map (listener: listener.port) open);
  };
}
