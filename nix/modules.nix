# The NixOS modules, with this flake's programs as defaults: no overlay is forced on anyone.
{ self, lib }:
let
  programs =
    { pkgs, ... }:
    let
      packages = self.packages.${pkgs.stdenv.hostPlatform.system};
    in
    {
      # One key, so that two of these modules in one machine set the defaults once.
      key = "leafbox/nix/modules.nix#programs";
      services.leafbox = {
        package = lib.mkDefault packages.leafbox;
        natsServer = lib.mkDefault packages.nats-server;
      };
    };
  withPrograms = module: {
    imports = [
      module
      programs
    ];
  };
in
lib.mapAttrs (_: withPrograms) {
  default = ../modules/default.nix;
  leaf = ../modules/leaf.nix;
  hub = ../modules/hub.nix;
}
