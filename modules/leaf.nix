# A leaf: a node at the edge, with stores of its own, that works with the uplink cut.
{ lib, ... }:
{
  imports = [ ./default.nix ];

  services.leafbox = {
    enable = lib.mkDefault true;
    role = "leaf";
  };
}
