# A node's units and files as they would lie on a Debian: the same text from every nixpkgs, with
# `/usr` in place of the Nix store and without what NixOS adds to each of its units.
{ lib }:
config:
let
  cfg = config.services.leafbox;
  isOurs = name: lib.hasPrefix "leafbox" name;

  withoutStore =
    text:
    lib.concatStrings (
      map (part: if builtins.isString part then part else "/usr") (
        builtins.split "${builtins.storeDir}/[a-z0-9]{32}-[^/\" :]+" text
      )
    );
  keep =
    line:
    line != ""
    && !lib.hasPrefix "X-" line
    && !lib.any (name: lib.hasPrefix "Environment=\"${name}=" line) [
      "LOCALE_ARCHIVE"
      "PATH"
      "TZDIR"
    ];
  # NixOS writes keys in an order of its own; those of one key keep theirs.
  sorted =
    lines:
    lib.concatMap (key: builtins.filter (hasKey key) lines) (
      lib.unique (lib.naturalSort (map keyOf lines))
    );
  keyOf = line: builtins.head (lib.splitString "=" line);
  hasKey = key: line: keyOf line == key;
  sections =
    text:
    let
      parts = builtins.split "\\[([A-Z][a-z]+)]\n" ("\n" + text);
      pairs = lib.imap0 (index: part: { inherit index part; }) parts;
      headers = builtins.filter ({ part, ... }: builtins.isList part) pairs;
    in
    map (
      { index, part }:
      {
        name = builtins.head part;
        lines = sorted (
          builtins.filter keep (lib.splitString "\n" (withoutStore (builtins.elemAt parts (index + 1))))
        );
      }
    ) headers;
  install =
    wantedBy:
    lib.optional (wantedBy != [ ]) {
      name = "Install";
      lines = map (target: "WantedBy=${target}") wantedBy;
    };
  unit =
    name: wantedBy:
    lib.concatMapStringsSep "\n"
      (section: lib.concatMapStrings (line: line + "\n") ([ "[${section.name}]" ] ++ section.lines))
      (
        builtins.filter (section: section.lines != [ ]) (sections config.systemd.units.${name}.text)
        ++ install wantedBy
      );
  units =
    suffix: declared:
    lib.mapAttrs' (
      name: value: lib.nameValuePair "${name}.${suffix}" (unit "${name}.${suffix}" value.wantedBy)
    ) (lib.filterAttrs (name: _: isOurs name) declared);

  lines = list: lib.concatMapStrings (line: line + "\n") list;
  toml = import ./toml.nix { inherit lib; };
in
units "service" config.systemd.services
// units "target" config.systemd.targets
// units "path" config.systemd.paths
// {
  "etc/leafbox/node.toml" = toml cfg.settings;
  "etc/leafbox/fleet.toml" = toml cfg.fleet;
  "sysusers.d/leafbox.conf" = lines (
    map (name: "u ${name} - \"${config.users.users.${name}.description}\"") (
      builtins.filter isOurs (builtins.attrNames config.users.users)
    )
  );
  "tmpfiles.d/leafbox.conf" = lines (
    builtins.filter (lib.hasInfix "leafbox") config.systemd.tmpfiles.rules
  );
}
