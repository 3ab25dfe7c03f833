# `nix run`: leafbox with everything on PATH, and `leafbox dev` when nothing else is asked for.
{
  writeShellApplication,
  leafbox,
  nats-server,
  natscli,
}:
writeShellApplication {
  name = "leafbox";
  runtimeInputs = [
    leafbox
    nats-server
    natscli
  ];
  # Found by PATH, this would call itself.
  text = ''exec ${leafbox}/bin/leafbox "''${@:-dev}"'';
  meta = leafbox.meta // {
    mainProgram = "leafbox";
  };
}
