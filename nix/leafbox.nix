# All binaries of the workspace: `leafbox` and the daemons, as systemd units run them.
#
# The tests are checks of their own (checks.nix): an image does not wait for them.
{
  lib,
  stdenv,
  rustPlatform,
  installShellFiles,
}:
let
  inherit (lib.importTOML ../Cargo.toml) workspace;
in
rustPlatform.buildRustPackage {
  pname = "leafbox";
  inherit (workspace.package) version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.lock
      ../Cargo.toml
      ../daemons
      ../examples
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;
  # The workspace's default is `leafbox` alone.
  cargoBuildFlags = [ "--workspace" ];

  strictDeps = true;
  doCheck = false;
  nativeBuildInputs = [ installShellFiles ];
  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    for shell in bash fish zsh; do
      installShellCompletion --cmd leafbox --$shell <($out/bin/leafbox completions $shell)
    done
  '';

  meta = {
    description = "NATS nodes that keep working when the network does not";
    license = lib.licenses.asl20;
    platforms = lib.platforms.linux ++ lib.platforms.darwin;
    mainProgram = "leafbox";
  };
}
