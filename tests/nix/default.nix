# What tests/nix/run asks for, each an attribute: evaluated, nothing is built.
{
  nixpkgs,
  # Another lib than that of nixpkgs: modules of today beside the packages of an older nixpkgs.
  lib ? nixpkgs + "/lib",
}:
let
  lib' = import lib;
  harness = import ./evaluate.nix {
    inherit nixpkgs;
    lib = lib';
  };
  evaluate = harness.node;
  nodes = lib'.genAttrs [ "leaf" "hub" ] (name: evaluate [ (./nodes + "/${name}.nix") ]);
  hosts = import ../../nix/hosts.nix {
    self.nixosModules.default = ../../modules/default.nix;
    lib = lib' // {
      nixosSystem = { modules }: harness.host modules;
    };
  };
in
{
  rendered = lib'.mapAttrs (_: node: import ./render.nix { lib = lib'; } node.config) nodes;
  options = import ./options.nix { lib = lib'; } nodes.leaf.options;
  units = lib'.runTests (
    import ./units.nix {
      inherit evaluate;
      lib = lib';
    }
  );
  refused = import ./refused.nix {
    inherit evaluate;
    lib = lib';
  };
  hosts = lib'.mapAttrs (_: host: host.config.system.build.toplevel.drvPath) hosts;
  hostNames = builtins.attrNames hosts;
}
