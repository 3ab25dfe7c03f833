# The options of `services.leafbox` as Markdown.
{ lib }:
options:
let
  declared = builtins.filter (
    option: lib.hasPrefix "services.leafbox." option.name && option.visible && !option.internal
  ) (lib.optionAttrSetToDocList options);
  # NixOS's markup for options becomes plain code.
  plain = builtins.replaceStrings [ "{option}" ] [ "" ];
  code =
    text:
    if lib.hasInfix "\n" (lib.trim text) then
      "\n\n```nix\n${lib.trim text}\n```"
    else
      " `${lib.trim text}`";
  entry =
    option:
    lib.concatStrings (
      [
        "## `${option.name}`\n\n${lib.trim (plain (toString option.description))}\n\n"
        "- Type: ${option.type}\n"
      ]
      ++ lib.optional (option ? default) "- Default:${code option.default.text}\n"
      ++ lib.optional (option ? example) "- Example:${code option.example.text}\n"
    );
  order = lib.sort (a: b: a.name < b.name) declared;
in
''
  # Options of `services.leafbox`

  Generated from `modules/options.nix` by `tests/nix/run --update`. `leafbox check --schema` describes
  what goes into `settings` and `fleet`.

''
+ lib.concatMapStringsSep "\n" entry order
