# What `nix flake check` builds: the gates of .ci/run, the machines, and every file of tests/nixos.
{
  self,
  pkgs,
  nixpkgs,
}:
let
  inherit (pkgs) lib;
  inherit (pkgs.stdenv.hostPlatform) system;
  inherit (self.packages.${system}) leafbox nats-server;

  # Cargo with the sources and the dependencies of the package, doing something else than building.
  cargo =
    name: tools: command:
    leafbox.overrideAttrs (previous: {
      pname = "leafbox-${name}";
      nativeBuildInputs = previous.nativeBuildInputs ++ tools;
      buildPhase = ''
        runHook preBuild
        ${command}
        runHook postBuild
      '';
      # Nothing is installed, so there is nothing to fix up either.
      installPhase = "touch $out";
      dontFixup = true;
    });

  vmTests =
    let
      files = lib.filterAttrs (
        name: type: type == "regular" && lib.hasSuffix ".nix" name
      ) (builtins.readDir ../tests/nixos);
      test =
        file:
        pkgs.testers.runNixOSTest {
          imports = [ (../tests/nixos + "/${file}") ];
          # A test that hangs says so before the builder's patience ends.
          globalTimeout = lib.mkDefault 1200;
          defaults.imports = [ self.nixosModules.default ];
        };
    in
    lib.mapAttrs' (
      file: _: lib.nameValuePair "nixos-${lib.removeSuffix ".nix" file}" (test file)
    ) files;

  # A host is evaluated to the derivation of the whole system; building it is left to `nix build`.
  hosts = lib.mapAttrs' (
    name: host:
    lib.nameValuePair "host-${name}" (
      pkgs.writeText "host-${name}" (
        builtins.unsafeDiscardStringContext host.config.system.build.toplevel.drvPath
      )
    )
  ) self.nixosConfigurations;
in
{
  rustfmt = cargo "rustfmt" [ pkgs.rustfmt ] "cargo fmt --all --check";
  clippy = cargo "clippy" [ pkgs.clippy ] ''
    cargo clippy --offline --workspace --all-targets -- -D warnings
  '';
  # On real servers, over loopback.
  tests = cargo "tests" [ nats-server ] "cargo test --offline --workspace";
}
// hosts
// vmTests
