{
  description = "leafbox: NATS nodes that keep working when the network does not";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      linux = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      # On macOS there are `nix run` and the shell: nodes run on Linux.
      all = linux ++ [ "aarch64-darwin" ];
      forEach = systems: f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEach all (pkgs: import ./nix/packages.nix { inherit self pkgs; });
      overlays.default = import ./nix/overlay.nix;
      devShells = forEach all (pkgs: import ./nix/shells.nix { inherit self pkgs; });
      formatter = forEach all (pkgs: pkgs.nixfmt-tree);
      checks = forEach linux (pkgs: import ./nix/checks.nix { inherit self pkgs nixpkgs; });

      nixosModules = import ./nix/modules.nix { inherit self lib; };
      nixosConfigurations = import ./nix/hosts.nix { inherit self lib; };
    };
}
