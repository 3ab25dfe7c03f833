# A value as TOML: the keys of a table first, then the tables in it, each by name.
{ lib }:
let
  key = name: if builtins.match "[A-Za-z0-9_-]+" name != null then name else builtins.toJSON name;
  inline =
    value:
    if builtins.isAttrs value then
      "{ ${
        lib.concatStringsSep ", " (lib.mapAttrsToList (name: item: "${key name} = ${inline item}") value)
      } }"
    else if builtins.isList value then
      "[${lib.concatMapStringsSep ", " inline value}]"
    else
      # The strings, numbers and booleans of JSON are those of TOML.
      builtins.toJSON value;
  table =
    path: value:
    let
      tables = lib.filterAttrs (_: builtins.isAttrs) value;
      plain = removeAttrs value (builtins.attrNames tables);
      header = lib.optional (path != [ ] && (plain != { } || tables == { })) (
        "[${lib.concatMapStringsSep "." key path}]"
      );
      lines = header ++ lib.mapAttrsToList (name: item: "${key name} = ${inline item}") plain;
      here = lib.optional (lines != [ ]) (lib.concatMapStrings (line: line + "\n") lines);
    in
    here ++ lib.concatLists (lib.mapAttrsToList (name: table (path ++ [ name ])) tables);
in
value: lib.concatStringsSep "\n" (table [ ] value)
