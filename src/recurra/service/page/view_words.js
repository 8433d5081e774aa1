// Shown behind page.js, whose helpers it uses.

const NEAR = 12;

/** Vectors of words: one word or several give their neighbours, `man king woman` as an analogy what is to woman as king is to man. */
views.set("words", (model) => {
  const analogy = h("input", { type: "checkbox", onchange: () => answer() });
  const help = h("span", { class: "hint" }, "Analogy: three words, the first is to the second as the third is to what?");

  /** A bar a word, as long as its cosine; a word that is chosen is asked for next. */
  function bars(found) {
    const list = h("dl", { class: "bars" });
    for (const { word, score } of found) {
      const next = h("button", { type: "button", dir: "auto", onclick: () => ((analogy.checked = false), offer(word), answer()) }, word);
      list.append(
        h("dt", {}, next),
        h("dd", {}, h("div", { class: "bar" }, h("i", { "--w": `${(100 * Math.min(Math.max(score, 0), 1)).toFixed(2)}%` }))),
        h("dd", { class: "share" }, score.toFixed(2)),
      );
    }
    return list;
  }

  const answer = () =>
    latest(async (signal) => {
      const words = text().trim().split(/\s+/u).filter(Boolean);
      if (!words.length) return show(), note([]);
      if (analogy.checked && words.length !== 3) return show(), note(["An analogy has three words, such as man king woman."]);
      const found = await asked("/similar", { model: model.name, words, number: NEAR, analogy: analogy.checked }, signal);
      show(bars(found.neighbours));
      note([]);
    });
  return {
    prompt: "A word, or several: which words are near?",
    controls: [h("button", { class: "main", type: "submit" }, "Ask"), h("label", {}, analogy, "Analogy"), help],
    typed: () => {},
    entered: answer,
  };
});
