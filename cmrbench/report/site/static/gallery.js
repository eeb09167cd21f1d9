// The gallery: a query, and what chosen methods found first, with hits marked by sign and frame.
function tile(item, hit) {
  const words = item.l.length ? item.l.join(", ") : item.n;
  const inside = [];
  if (item.p) inside.push(make("img", { src: item.p, alt: item.t || words, width: 64, height: 64, loading: "lazy" }));
  else inside.push(make("span", { className: "words", textContent: item.t || item.n }));
  inside.push(make("span", { className: "class", textContent: words }));
  if (hit !== null) inside.unshift(make("span", { className: "sign", textContent: hit ? "✓" : "✗" }), make("span", { className: "sr", textContent: hit ? "relevant: " : "not relevant: " }));
  return make("li", { className: hit === null ? "tile" : hit ? "tile hit" : "tile miss", title: [item.t, words, item.n].filter(Boolean).join(" · ") }, ...inside);
}

function setUpGallery() {
  const form = find("#gallery-form");
  if (!form) return;
  let data = null;
  const shelf = find("#shelf");
  const place = () => data.places.find((one) => one.id === form.gp.value) ?? data.places[0];
  const direction = () => place().directions[Number(form.gd.value)] ?? place().directions[0];
  const picker = methodPicker(find("#gallery-methods"), "gm", () => data && show());

  const fillPlace = () => {
    const here = place();
    fillSelect(form.gd, here.directions.map((one, i) => [String(i), one.name]));
    // Pictures say more at a glance than their words do.
    const pictured = here.directions.findIndex((one) => one.queries.some((query) => Object.values(query.r).some(([items]) => items.some((i) => data.items[i].p))));
    choose(form.gd, view.get("gd") || String(Math.max(pictured, 0)));
    const board = boards.find((one) => one.id === here.id);
    const rows = Object.values(here.rows).map(([title, category]) => ({ title, category }));
    const column = board ? board.columns.findIndex((c) => (c.bits ?? null) === (here.bits ?? null)) : -1;
    const known = new Set(rows.map((row) => row.title));
    const best = board ? bestOfCategories(board, column, 6).filter((title) => known.has(title)) : [];
    picker.fill(rows, best.length ? best : rows.slice(0, 4).map((row) => row.title));
    fillQueries();
  };
  const fillQueries = () => {
    const named = (item) => `${item.t || item.l.join(", ") || item.n}`.slice(0, 60);
    fillSelect(form.gq, direction().queries.map((one, i) => [String(i), `${i + 1}. ${named(data.items[one.i])}`]));
    choose(form.gq, view.get("gq"));
  };
  const show = () => {
    const query = direction().queries[Number(form.gq.value)] ?? direction().queries[0];
    const item = data.items[query.i];
    const parts = [make("div", { className: "query" }, make("h3", { textContent: "Query" }), make("ul", { className: "tiles-row" }, tile(item, null)),
      make("p", { textContent: item.p || item.t.length < 70 ? "" : item.t }))];
    for (const [index, [title, category]] of Object.entries(place().rows)) {
      const found = query.r[index];
      if (!found || !picker.chosen.has(title)) continue;
      const [items, hits] = found;
      const right = hits.filter(Boolean).length;
      parts.push(make("div", { className: "found" },
        make("h3", {}, title, make("small", { textContent: ` ${category}; ${right} of the first ${hits.length} relevant` })),
        make("ol", { className: "tiles-row" }, ...items.map((number, i) => tile(data.items[number], Boolean(hits[i]))))));
    }
    if (parts.length === 1) parts.push(make("p", { className: "none", textContent: "Choose a method." }));
    if (place().bits) parts.push(make("p", { className: "hint", textContent: `Codes of ${place().bits} bits, the first seed.` }));
    shelf.replaceChildren(...parts);
    find("[data-step='-1']", form).disabled = Number(form.gq.value) === 0;
    find("[data-step='1']", form).disabled = Number(form.gq.value) >= direction().queries.length - 1;
  };
  const keep = () => ["gp", "gd", "gq"].forEach((name) => view.set(name, form[name].value));
  form.addEventListener("change", (event) => {
    const name = event.target.name;
    if (name === "gp") ["gd", "gq", "gm"].forEach((key) => view.set(key, ""));
    if (name === "gd") view.set("gq", "");
    if (name === "gp") fillPlace();
    if (name === "gd") fillQueries();
    keep();
    show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const button of all("[data-step]", form)) {
    button.addEventListener("click", () => {
      form.gq.value = String(Number(form.gq.value) + Number(button.dataset.step));
      keep();
      show();
    });
  }
  const restore = () => {
    choose(form.gp, view.get("gp"));
    fillPlace();
    show();
  };
  whenNear(find("#gallery"), async () => {
    try {
      data = JSON.parse(await unpacked("data-gallery"));
      fillSelect(form.gp, data.places.map((one) => [one.id, one.title]));
      restore();
      view.listeners.push(restore);
    } catch (error) {
      shelf.replaceChildren(make("p", { className: "none", textContent: `The gallery cannot be shown in this browser (${error.message}).` }));
    }
  });
}
