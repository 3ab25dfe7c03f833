# Every machine of hosts/, by the name that it has in the fleet.
{ self, lib }:
let
  host =
    module:
    lib.nixosSystem {
      modules = [
        self.nixosModules.default
        module
      ];
    };
in
lib.mapAttrs (_: host) {
  edge-minipc = ../hosts/edge-minipc.nix;
  edge-pi = ../hosts/edge-pi.nix;
  hub-vm = ../hosts/hub-vm.nix;
  hub-1 = ../hosts/hub-1.nix;
  hub-2 = ../hosts/hub-2.nix;
  hub-3 = ../hosts/hub-3.nix;
}
