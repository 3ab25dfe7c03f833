# Evaluates NixOS configurations with the module system of a given nixpkgs.
{
  nixpkgs,
  # Another lib than that of nixpkgs: new modules beside the packages of an old nixpkgs.
  lib,
}:
let
  older = import ./older.nix {
    inherit lib;
    release = lib.fileContents (nixpkgs + "/.version");
  };
  packages =
    system:
    let
      pkgs = import nixpkgs {
        inherit system;
        config = { };
      };
      # Evaluation needs names and paths, not what is behind them.
      standIn = name: pkgs.runCommand name { meta.mainProgram = name; } "";
    in
    older.pkgs pkgs
    // {
      leafbox = standIn "leafbox";
      nats-server = standIn "nats-server";
    };
  # The manual takes minutes, and a nixpkgs without its git history has no revision to name.
  quick = {
    documentation.nixos.enable = lib.mkForce false;
  };
  evaluateOn =
    system: modules:
    import (nixpkgs + "/nixos/lib/eval-config.nix") {
      inherit lib system;
      pkgs = packages system;
      modules = older.modules ++ [ quick ] ++ modules;
    };
in
rec {
  # A machine that says itself what it is.
  host =
    modules:
    let
      guess = evaluateOn "x86_64-linux" modules;
      platform = guess.config.nixpkgs.hostPlatform;
      system = platform.system or platform;
    in
    if system == "x86_64-linux" then guess else evaluateOn system modules;

  # The same modules on a machine that is nothing else.
  node =
    modules:
    evaluateOn "x86_64-linux" (
      [
        {
          boot.loader.grub.enable = false;
          fileSystems."/" = {
            device = "/dev/disk/by-label/root";
            fsType = "ext4";
          };
          system.stateVersion = "20.09";
        }
      ]
      ++ modules
    );
}
