# Secrets reach a unit as systemd credentials, each unit only those that it needs: the files named
# in `credentials`, and the folders that enrolment fills.
{ config, lib, ... }:
let
  cfg = config.services.leafbox;
  uses = import ./credential-uses.nix {
    inherit lib;
    inherit (cfg) settings fleet;
  };
  listeners = import ./listeners.nix {
    inherit lib;
    inherit (cfg) settings;
  };
  enrolled = "LoadCredential${lib.optionalString cfg.enroll.encrypt "Encrypted"}";

  load =
    unit: folder:
    let
      given = lib.filterAttrs (name: _: builtins.elem unit (uses name)) cfg.credentials;
      entries = encrypted: lib.filterAttrs (_: file: file.encrypted == encrypted) given;
      lines = lib.mapAttrsToList (name: file: "${name}:${file.path}");
      all = {
        LoadCredential = lines (entries false);
        LoadCredentialEncrypted = lines (entries true);
      };
      # Every file in the folder becomes `leafbox_<name>`, where leafbox looks too.
      withFolder =
        all
        // lib.optionalAttrs cfg.enroll.enable {
          ${enrolled} = [ "leafbox:/var/lib/leafbox-keys/${folder}" ] ++ all.${enrolled};
        };
    in
    {
      serviceConfig = lib.filterAttrs (_: list: list != [ ]) withFolder;
    };
in
{
  config = lib.mkIf cfg.enable {
    systemd.services = {
      leafbox-nats = load "nats" "nats";
      leafbox-apply = load "apply" "apply";
      leafbox-uplink = load "uplink" "apply";
      leafbox-health = lib.mkIf listeners.runsHealth (load "health" "health");
      leafbox-registry = lib.mkIf listeners.runsRegistry (load "registry" "registry");
      leafbox-sse-bridge = lib.mkIf listeners.runsConsole (load "sse-bridge" "console");
    };
  };
}
