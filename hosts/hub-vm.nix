# A hub of one machine, to try leafbox with: `nix build .#vm-image`.
#
# Its certificate comes with the start of the machine (docs/images.md shows qemu's flag).
{ lib, ... }:
{
  imports = [
    ./appliance.nix
    ./hub.nix
    ./vm.nix
  ];

  networking.hostName = "hub-vm";

  services.leafbox = {
    fleet = lib.recursiveUpdate (lib.importTOML ./fleet.toml) { nodes.hub = [ "hub-vm" ]; };
    credentials = {
      "hub.crt" = "/run/credentials/@system/hub.crt";
      "hub.key" = "/run/credentials/@system/hub.key";
    };
  };
}
