// Objects, and messages that are published by hand.

const heading = (name) => (page) => page.getByRole("heading", { level: 1, name }).waitFor();

export const pages = [
  { name: "objects", path: "/objects", ready: heading("Objects"), unscripted: /LEAFLETS/ },
  { name: "publish", path: "/publish", ready: heading("Publish"), unscripted: /Subject.*Payload/s },
];
