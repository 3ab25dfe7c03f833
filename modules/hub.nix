# A hub node: a member of the cluster that leaves join.
{ lib, ... }:
{
  imports = [ ./default.nix ];

  services.leafbox = {
    enable = lib.mkDefault true;
    role = "hub";
  };
}
