# What a nixpkgs of before 22.05 lacks of the things that modules/ uses. Each is added only where it
# is missing, so that nothing here touches a nixpkgs of today.
{ lib, release }:
let
  older = lib.versionOlder release;
  anything = lib.mkOption {
    type = lib.types.anything;
    default = { };
  };
  later = {
    "22.05" = [
      "boot.initrd.systemd.enable"
      "boot.initrd.systemd.services"
      "nix.settings"
      "nixpkgs.hostPlatform"
    ];
    "21.05" = [ "users.allowNoPasswordLogin" ];
    "22.11" = [ "systemd.network.wait-online.enable" ];
    "23.05" = [ "services.openssh.settings" ];
    "23.11" = [ "nix.channel" ];
    "24.11" = [ "image.modules" ];
    "25.11" = [ "systemd.settings" ];
  };
in
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
    // lib.optionalAttrs (older "21.05") {
      cloud-utils = pkgs.cloud-utils // {
        guest = pkgs.cloud-utils;
      };
      util-linux = pkgs.utillinux;
    }
    // {
      stdenv = pkgs.stdenv // {
        buildPlatform = {
          canExecute = _: true;
        }
        // pkgs.stdenv.buildPlatform;
      };
    };

  # Options of a later NixOS, so that what sets them is evaluated; they do nothing here.
  modules =
    lib.optional (older "22.05") {
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
    }
    ++ lib.optional (older "21.05") {
      options.fileSystems = lib.mkOption {
        type = lib.types.attrsOf (lib.types.submodule { options.depends = anything; });
      };
      # What that release insisted on.
      config.networking.useDHCP = lib.mkDefault false;
      config.users.users.root.passwordFile = lib.mkDefault "/run/none";
    }
    ++ map (path: { options = lib.setAttrByPath (lib.splitString "." path) anything; }) (
      lib.concatLists (lib.mapAttrsToList (since: lib.optionals (older since)) later)
    );
}
