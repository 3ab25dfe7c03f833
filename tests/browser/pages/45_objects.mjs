// Objects.

const heading = (name) => (page) => page.getByRole("heading", { level: 1, name }).waitFor();

export const pages = [
  { name: "objects", path: "/objects", ready: heading("Objects"), unscripted: /LEAFLETS/ },
];
