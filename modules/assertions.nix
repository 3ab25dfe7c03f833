# Mistakes that Nix alone can see, each with what to do. What leafbox can see, leafbox says while the
# system is built.
{ config, lib, ... }:
let
  cfg = config.services.leafbox;
  uses = import ./credential-uses.nix {
    inherit lib;
    inherit (cfg) settings fleet;
  };

  inStore = path: builtins.isPath path || lib.hasPrefix "${builtins.storeDir}/" (toString path);
  stored = lib.filterAttrs (_: file: inStore file.path) cfg.credentials;
  unused = lib.filterAttrs (name: _: uses name == [ ]) cfg.credentials;

  encrypts = lib.attrByPath [ "jetstream" "encryption" ] "" cfg.settings != "off";
  listeners = import ./listeners.nix {
    inherit lib;
    inherit (cfg) settings;
  };
  needed =
    lib.optional encrypts "jetstream.key"
    ++ lib.optional listeners.runsHealth "health.creds"
    ++ lib.optional listeners.runsRegistry "registry.creds"
    # Of the other accounts it shows what it has creds for.
    ++ lib.optional listeners.runsConsole "console-LEAFBOX.creds";
  lacking = builtins.filter (name: !cfg.credentials ? ${name}) needed;

  # The paths of all strings that are secrets by their look, never the strings.
  secrets =
    path: value:
    if builtins.isAttrs value then
      lib.concatLists (lib.mapAttrsToList (name: secrets "${path}.${name}") value)
    else if builtins.isList value then
      lib.concatLists (lib.imap0 (index: secrets "${path}[${toString index}]") value)
    else
      lib.optional (builtins.isString value && isSecret value) path;
  isSecret =
    text:
    lib.any
      (pattern: builtins.match ".*${pattern}.*" (lib.replaceStrings [ "\n" ] [ " " ] text) != null)
      [
        "S[AUONCX][A-Z2-7]{56}" # an nkey seed
        "-----BEGIN [A-Z ]*(PRIVATE KEY|USER JWT|NKEY SEED)-----"
        "[a-z]+://[^/@ ]*:[^/@ ]+@" # a URL with a password
      ];
  # What a path names is copied into the store; of the files that settings name, the keys are secrets.
  copied =
    path: value:
    if builtins.isAttrs value then
      lib.concatLists (
        lib.mapAttrsToList (
          name: item:
          if lib.hasSuffix "key" name && builtins.isString item && inStore item then
            [ "${path}.${name}" ]
          else
            copied "${path}.${name}" item
        ) value
      )
    else if builtins.isList value then
      lib.concatLists (lib.imap0 (index: copied "${path}[${toString index}]") value)
    else
      lib.optional (builtins.isPath value) path;
  named =
    copied "services.leafbox.settings" cfg.settings ++ copied "services.leafbox.fleet" cfg.fleet;

  # Such as keys, where the wrong folder was named. What is built only later cannot be looked into.
  amongJwts =
    if builtins.isPath cfg.jwts && builtins.pathExists cfg.jwts then
      builtins.filter (name: !lib.hasSuffix ".jwt" name) (builtins.attrNames (builtins.readDir cfg.jwts))
    else
      [ ];

  shown =
    secrets "services.leafbox.settings" cfg.settings ++ secrets "services.leafbox.fleet" cfg.fleet;
  names = attrs: lib.concatStringsSep ", " (builtins.attrNames attrs);
in
{
  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.fleet != { };
        message = ''
          services.leafbox.fleet is empty: declare the fleet, for instance with
          `services.leafbox.fleet = lib.importTOML ./fleet.toml;` (`leafbox init` writes one to start from).'';
      }
      {
        assertion = stored == { };
        message = ''
          services.leafbox.credentials: ${names stored} would be in the Nix store, which every user of the
          machine can read. Write the place of the file on the running machine as a string, such as
          "/run/secrets/NAME", and bring the file there with sops-nix, agenix or systemd-creds; or set
          services.leafbox.enroll.enable, and the machine makes its own. Take the file out of the
          repository and replace the keys in it: they have been shown.'';
      }
      {
        assertion = unused == { };
        message = ''
          services.leafbox.credentials: nothing reads ${names unused}. leafbox knows jetstream.key,
          health.creds, registry.creds, leaf-<ACCOUNT>.creds, apply-<ACCOUNT>.creds,
          console-<ACCOUNT>.creds, sys.creds, and the files that services.leafbox.settings names under
          nats.tls, uplink, registry.tls and console.tls, and services.leafbox.fleet under
          registry.upstreams: correct the name, or remove it.'';
      }
      {
        assertion = shown == [ ];
        message = ''
          ${lib.concatStringsSep ", " shown} looks like a secret, and the files of leafbox are in the Nix store,
          which every user of the machine can read. Take it out, replace it (it has been shown), and give it as a
          file in services.leafbox.credentials.'';
      }
      {
        assertion = named == [ ];
        message = ''
          ${lib.concatStringsSep ", " named} names a file of the Nix store, which every user of the machine can
          read. Write only the file's name, and say where it is on the running machine in
          services.leafbox.credentials."NAME".'';
      }
      {
        assertion = amongJwts == [ ];
        message = ''
          services.leafbox.jwts holds ${lib.concatStringsSep ", " amongJwts}, and goes into the Nix store,
          which every user of the machine can read. Name the folder that `leafbox apply --export jwts/` wrote,
          and leave only its *.jwt files there.'';
      }
      {
        assertion = cfg.enroll.enable || lacking == [ ];
        message = ''
          services.leafbox.credentials lacks ${lib.concatStringsSep " and " lacking}: give each as
          `services.leafbox.credentials."NAME" = "/run/secrets/NAME";`, or set
          `services.leafbox.enroll.enable = true;`, and the machine makes its own keys.'';
      }
      {
        assertion = cfg.enroll.enable || cfg.settings ? jwts;
        message = ''
          services.leafbox.jwts is not set, so that the node would know no account: run
          `leafbox apply --export jwts/` where the operator's keys are, and set
          `services.leafbox.jwts = ./jwts;`.'';
      }
    ];
  };
}
