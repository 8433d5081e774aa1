// Shown behind page.js, whose helpers it uses.

/** A row as numbers or as JSON, and what is said of it again: a table of columns, or a list of numbers. */
views.set("reconstruction", (model) => {
  const said = (value) => (typeof value === "number" ? `${+value.toPrecision(6)}` : JSON.stringify(value));
  const table = (found) =>
    h("table", {}, h("tbody", {},
      h("tr", {}, h("th", {}, "mean squared error"), h("td", {}, found.error === null ? "" : said(found.error))),
      ...Object.entries(found.reconstruction).map(([name, value]) => h("tr", {}, h("th", {}, name), h("td", {}, said(value))))));
  const answer = () =>
    latest(async (signal) => {
      const given = text().trim();
      if (!given) return show(), note([]);
      const body = given.startsWith("{") ? { records: [JSON.parse(given)] } : { texts: [given] };
      const found = await asked("/predict", { model: model.name, ...body }, signal);
      show(table(found.predictions[0]));
      note(found.notes);
    });
  const button = h("button", { class: "main", type: "submit" }, "Say again");
  return { prompt: "Numbers, or a row as JSON", controls: [button], typed: () => {}, entered: answer };
});
