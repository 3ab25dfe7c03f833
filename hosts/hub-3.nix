{
  imports = [ ./hub-node.nix ];
  networking.hostName = "hub-3";
}
