# What a nixpkgs of before 22.05 lacks of the things that modules/ uses. Each is added only where it
# is missing, so that nothing here touches a nixpkgs of today.
{ lib, release }:
{
  pkgs =
    pkgs:
    pkgs
    // lib.optionalAttrs (!pkgs ? formats) {
      formats.toml = _: {
        type =
          let
            value = lib.types.oneOf [
              lib.types.bool
              lib.types.int
              lib.types.float
              lib.types.str
              lib.types.path
              (lib.types.attrsOf value)
              (lib.types.listOf value)
            ];
          in
          lib.types.attrsOf value // { description = "TOML value"; };
        generate = name: value: pkgs.writeText name (import ./toml.nix { inherit lib; } value);
      };
    }
    // {
      stdenv = pkgs.stdenv // {
        buildPlatform = {
          canExecute = _: true;
        }
        // pkgs.stdenv.buildPlatform;
      };
    };

  modules = lib.optional (lib.versionOlder release "22.05") {
    options.systemd.services = lib.mkOption {
      type = lib.types.attrsOf (
        lib.types.submodule (
          { config, ... }:
          {
            options.reloadTriggers = lib.mkOption {
              type = lib.types.listOf lib.types.unspecified;
              default = [ ];
            };
            config.unitConfig = lib.mkIf (config.reloadTriggers != [ ]) {
              X-Reload-Triggers = toString config.reloadTriggers;
            };
          }
        )
      );
    };
  };
}
