# Evaluates NixOS configurations with the module system of a given nixpkgs.
{
  nixpkgs,
  # Another lib than that of nixpkgs: new modules beside the packages of an old nixpkgs.
  lib,
  system,
}:
let
  found = import nixpkgs {
    inherit system;
    config = { };
  };
  older = import ./older.nix {
    inherit lib;
    release = lib.fileContents (nixpkgs + "/.version");
  };
  # Evaluation needs names and paths, not what is behind them.
  standIn = name: found.runCommand name { meta.mainProgram = name; } "";
  pkgs =
    older.pkgs found
    // {
      leafbox = standIn "leafbox";
      nats-server = standIn "nats-server";
    };
  evalConfig = import (nixpkgs + "/nixos/lib/eval-config.nix");
  # What every machine must say, and nothing that costs minutes.
  machine = {
    boot.loader.grub.enable = lib.mkDefault false;
    documentation.nixos.enable = lib.mkForce false;
    fileSystems."/" = lib.mkDefault {
      device = "/dev/disk/by-label/root";
      fsType = "ext4";
    };
    system.stateVersion = lib.mkDefault "20.09";
  };
in
{
  inherit pkgs;
  evaluate =
    modules:
    evalConfig {
      inherit lib pkgs system;
      modules = older.modules ++ [ machine ] ++ modules;
    };
}
