# What tests/nix/run asks for, each an attribute: evaluated, nothing is built.
{
  nixpkgs,
  lib ? nixpkgs + "/lib",
  system ? "x86_64-linux",
}:
let
  lib' = import lib;
  harness = import ./evaluate.nix {
    inherit nixpkgs system;
    lib = lib';
  };
  render = import ./render.nix { lib = lib'; };
  nodes = lib'.genAttrs [ "leaf" "hub" ] (name: harness.evaluate [ (./nodes + "/${name}.nix") ]);
in
{
  rendered = lib'.mapAttrs (_: node: render node.config) nodes;
}
