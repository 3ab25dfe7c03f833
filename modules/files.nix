# node.toml and fleet.toml: written, checked by leafbox while the system is built, and linked to
# stable paths, so that a changed file is a reload and not another unit.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.leafbox;
  toml = pkgs.formats.toml { };
  node = toml.generate "node.toml" cfg.settings;
  fleet = toml.generate "fleet.toml" cfg.fleet;

  # What is built for another machine cannot run here; the node then checks itself at its start.
  runsHere = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;
  files =
    pkgs.runCommand "leafbox-files"
      {
        inherit node fleet;
        jwts = if cfg.jwts == null then "" else "${cfg.jwts}";
        nativeBuildInputs = lib.optionals runsHere [
          cfg.package
          cfg.natsServer
          pkgs.openssl
        ];
      }
      (
        ''
          mkdir -p "$out"
          cp "$node" "$out/node.toml"
          cp "$fleet" "$out/fleet.toml"
          [ -z "$jwts" ] || cp -r "$jwts" "$out/jwts"
        ''
        + lib.optionalString runsHere ''
          bash ${./check.sh} "$out" 1>&2
        ''
      );
  links = [
    "node.toml"
    "fleet.toml"
  ]
  ++ lib.optional (cfg.jwts != null) "jwts";
in
{
  config = lib.mkIf cfg.enable {
    services.leafbox.settings = {
      inherit (cfg) role;
      jwts = lib.mkIf (cfg.jwts != null) "jwts";
    };

    environment.etc = lib.listToAttrs (
      map (name: lib.nameValuePair "leafbox/${name}" { source = "${files}/${name}"; }) links
    );
    environment.variables.LEAFBOX_CONFIG = "/etc/leafbox/node.toml";
    environment.systemPackages = [ cfg.package ];
  };
}
