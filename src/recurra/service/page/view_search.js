// Shown behind page.js and view_picture.js, whose helpers it uses.

/** The pictures of the service's folder that are most like a text, or a picture that is dropped. */
function searchView(model) {
  const number = h("select", {}, ...[6, 12, 24, 48].map((n) => h("option", { value: n }, `${n}`)));
  number.value = "12";

  async function pictured({ name, likeness, thumbnail }) {
    const words = name.split("/").pop();
    const caption = h("figcaption", { title: name, dir: "auto" }, h("b", {}, likeness.toFixed(3)), ` ${words}`);
    if (thumbnail === null) return h("figure", { class: "seen" }, h("p", { class: "help" }, "can no longer be read"), caption);
    const bytes = Uint8Array.from(atob(thumbnail), (letter) => letter.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    return h("figure", { class: "seen" }, drawn(bitmap, THUMBNAIL, name), caption);
  }

  const find = (asking) =>
    latest(async (signal) => {
      const found = await asked("/search", { model: model.name, number: Number(number.value), ...(await asking()) }, signal);
      const pictures = await Promise.all(found.found.map(pictured));
      if (signal.aborted) return;
      show(h("h2", {}, `The most alike of ${found.pictures.toLocaleString()} pictures`), h("div", { class: "pictures found" }, ...pictures));
      note(found.notes);
    });
  const byText = () => (text().trim() ? find(async () => ({ text: text() })) : (running.abort(), show(), note([])));
  const zone = pictureZone("Or drop a picture here, paste it, or choose a file, to find others like it: PNG, JPEG or WebP.", (file) =>
    find(async () => ({ picture: await sentPicture(file) })));
  const controls = [h("button", { class: "main", type: "submit" }, "Search"), h("label", {}, "Pictures", number), zone];
  return { prompt: "What is in the picture", controls, typed: settled(byText, 300), entered: byText };
}

/** The texts of the service's file that are most like a picture that is dropped. */
function searchTextsView(model) {
  const number = h("select", {}, ...[5, 10, 20, 50].map((n) => h("option", { value: n }, `${n}`)));
  number.value = "10";
  let file = null;
  const find = () =>
    latest(async (signal) => {
      if (!file) return show(), note([]);
      const found = await asked("/search_texts", { model: model.name, number: Number(number.value), picture: await sentPicture(file) }, signal);
      const bitmap = await createImageBitmap(file);
      if (signal.aborted) return;
      const rows = found.found.map((one) => h("tr", {}, h("td", {}, one.likeness.toFixed(3)), h("td", { dir: "auto" }, one.text)));
      const title = h("h2", {}, `The most alike of ${found.texts.toLocaleString()} texts`);
      show(h("figure", { class: "seen" }, drawn(bitmap, THUMBNAIL, file.name)), title, h("table", {}, ...rows));
      note(found.notes);
    });
  number.addEventListener("change", find);
  const zone = pictureZone("Drop a picture here, paste it, or choose a file: PNG, JPEG or WebP.", (given) => ((file = given), find()));
  return { prompt: "Picture", silent: true, controls: [zone, h("label", {}, "Texts", number)], typed: () => {}, entered: find };
}

/** Of a run beside which pictures or texts stand: a search, or what it says otherwise. */
function withSearch(other) {
  return (model) => {
    const searches = { ...(model.uses.includes("search") ? { "Search pictures": searchView(model) } : {}), ...(model.uses.includes("search_texts") ? { "Search texts": searchTextsView(model) } : {}) };
    return Object.keys(searches).length ? chooser({ ...searches, "Compare a picture and a text": other(model) }) : other(model);
  };
}

views.set("picture", withSearch(views.get("picture")));
