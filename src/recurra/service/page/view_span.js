// Shown behind page.js, whose helpers it uses.

/** A question and a passage; the answer is marked in the passage, and other answers stand below it. */
views.set("span", (model) => {
  const more = beside(model, settled(() => answer(), 400));
  const passage = () => more.values()[model.inputs[1]];
  const where = (one) => (one.start === null ? "" : `${one.start}-${one.end}`);

  function marked(row) {
    // Places count characters as Python does; JavaScript's strings count halves of some.
    const characters = Array.from(passage());
    const cut = (start, end) => characters.slice(start, end).join("");
    if (row.start === null) return h("p", { class: "tagged", dir: "auto" }, passage());
    return h("p", { class: "tagged", dir: "auto" },
      cut(0, row.start), h("mark", { class: "l0" }, cut(row.start, row.end)), cut(row.end, characters.length));
  }

  const answer = () =>
    latest(async (signal) => {
      if (!more.ready()) return show(), note([]);
      const found = await asked("/predict", { ...more.body(), options: { n_best: 5 } }, signal);
      const row = found.predictions[0];
      const head = h("tr", {}, h("th", {}, "Answer"), h("th", { class: "n" }, "Characters"), h("th", { class: "n" }, "Probability"));
      const rows = row.n_best.map((one) =>
        h("tr", {}, h("td", { dir: "auto" }, one.answer || "no answer"), h("td", { class: "n" }, where(one)), h("td", { class: "n" }, percent(one.score))));
      show(h("p", { class: "output", dir: "auto" }, row.answer || "No answer stands in this passage."), marked(row), h("table", {}, head, ...rows));
      note(found.notes);
    });
  const button = h("button", { class: "main", type: "submit" }, "Answer");
  return { prompt: "Question", controls: [...more.controls, button], typed: settled(answer, 400), entered: answer };
});
