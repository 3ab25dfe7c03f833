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
      files = lib.filterAttrs (name: type: type == "regular" && lib.hasSuffix ".nix" name) (
        builtins.readDir ../tests/nixos
      );
      test =
        file:
        pkgs.testers.runNixOSTest {
          imports = [ (../tests/nixos + "/${file}") ];
          _module.args = { inherit leafbox nats-server; };
          # A test that hangs says so before the builder's patience ends.
          globalTimeout = lib.mkDefault 1200;
          defaults.imports = [ self.nixosModules.default ];
        };
    in
    lib.mapAttrs' (
      file: _: lib.nameValuePair "nixos-${lib.removeSuffix ".nix" file}" (test file)
    ) files;

  nixFiles = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../flake.nix
      ../hosts
      ../modules
      ../nix
      ../tests/nix
      ../tests/nixos
    ];
  };

  # What tests/nix/run says of the modules, said while the flake is evaluated.
  evaluated = import ../tests/nix { inherit nixpkgs; };
  expect =
    name: wanted: found:
    pkgs.runCommand "leafbox-${name}" { inherit wanted found; } ''
      diff -ru "$wanted" "$found" || {
        echo "run tests/nix/run --update" >&2
        exit 1
      }
      touch $out
    '';
  folder =
    name: files:
    pkgs.linkFarm name (
      lib.mapAttrsToList (path: content: {
        name = path;
        path =
          if builtins.isAttrs content then folder path content else pkgs.writeText (baseNameOf path) content;
      }) files
    );

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
  rustfmt = cargo "rustfmt" [ pkgs.rustfmt ] ''
    cargo fmt --all --check -- --config-path ${../rustfmt.toml}
  '';
  clippy = cargo "clippy" [ pkgs.clippy ] ''
    cargo clippy --offline --workspace --all-targets -- -D warnings
  '';
  nixfmt = pkgs.runCommand "leafbox-nixfmt" { nativeBuildInputs = [ pkgs.nixfmt ]; } ''
    find ${nixFiles} -name '*.nix' -exec nixfmt --check {} +
    touch $out
  '';
  # On real servers, over loopback.
  tests = cargo "tests" [ nats-server ] "cargo test --offline --workspace";

  units = expect "units" (pkgs.writeText "wanted" "[]") (
    pkgs.writeText "found" (builtins.toJSON evaluated.units)
  );
  rendered = expect "rendered" ../tests/rendered (folder "rendered" evaluated.rendered);
  # Each of them throws its message while it is evaluated; tests/nix/run compares the words.
  refused =
    let
      accepted = lib.filterAttrs (_: row: (builtins.tryEval row).success) evaluated.refused.refused;
    in
    assert evaluated.refused.accepted == "accepted";
    expect "refused" (pkgs.writeText "wanted" "[]") (
      pkgs.writeText "found" (builtins.toJSON (builtins.attrNames accepted))
    );
  # A wrong key in the files fails the build of the system, by the script that the build runs.
  bad-option = pkgs.runCommand "leafbox-bad-option" { nativeBuildInputs = [ leafbox ]; } ''
    mkdir files
    cp ${../hosts/fleet.toml} files/fleet.toml
    printf 'name = "edge-pi"\n[jetstream]\nmax_storge = "4GiB"\n' >files/node.toml
    if bash ${../modules/check.sh} files 2>said; then
      echo "a misspelt key was accepted" >&2
      exit 1
    fi
    grep --fixed-strings max_storage said
    sed -i s/max_storge/max_storage/ files/node.toml
    bash ${../modules/check.sh} files
    touch $out
  '';
  options = expect "options" ../docs/options.md (pkgs.writeText "options.md" evaluated.options);
}
// hosts
// vmTests
