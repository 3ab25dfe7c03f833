# `nix develop`: what .ci/run and daily work need.
{ self, pkgs }:
let
  packages = self.packages.${pkgs.stdenv.hostPlatform.system};
in
{
  default = pkgs.mkShell {
    inputsFrom = [ packages.leafbox ];
    packages = [
      packages.nats-server
      pkgs.cargo-deny
      pkgs.clippy
      pkgs.natscli
      pkgs.nixfmt
      pkgs.rust-analyzer
      pkgs.rustfmt
    ];
    env.RUST_SRC_PATH = "${pkgs.rustPlatform.rustLibSrc}";
  };
}
