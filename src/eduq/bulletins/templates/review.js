"use strict";
(() => {
  const data = JSON.parse(document.getElementById("review-data").textContent);
  const words = data.words;
  const PAGE = 50;
  const PRINTED = 2000;
  const MINUS = "\u2212";
  const SVG = "http://www.w3.org/2000/svg";
  const byId = (id) => document.getElementById(id);

  // ---- small helpers
  const make = (tag, props = {}, ...inside) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
      if (name === "text") node.textContent = value;
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...inside.filter((part) => part !== null));
    return node;
  };
  const draw = (tag, props) => {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(props)) node.setAttribute(name, value);
    return node;
  };
  const fill = (said, values) => said.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
  const grouped = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ",");
  const shown = (value, form) => {
    if (typeof value === "string") return value;
    const digits = String(Math.abs(value)).padStart(form.decimals + 1, "0");
    const cut = digits.length - form.decimals;
    const body = grouped(digits.slice(0, cut)) + (form.decimals ? "." + digits.slice(cut) : "");
    return (value < 0 ? MINUS : form.signed && value > 0 ? "+" : "") + body;
  };
  const isKnown = (value) => value !== null && value !== undefined;
  const size = (value) => (typeof value === "string" ? 0 : value);
  const count = (value) => shown(value, { decimals: 0, signed: false });

  // ---- what a cell says and how it sorts
  const textOf = (column, row) => {
    const at = column.at[row];
    if (!isKnown(at)) return words.nothing;
    if (column.kind === "unit") return data.units[at][1];
    if (column.kind === "choice") return column.values[at];
    return column.kind === "count" ? count(at) : at;
  };
  const intervalOf = (measure, row) => {
    const [low, high] = [measure.lower[row], measure.upper[row]];
    return isKnown(low) && isKnown(high) ? shown(low, measure) + "\u00a0\u2014\u00a0" + shown(high, measure) : words.nothing;
  };
  const valueOf = (measure, row, full = false) => {
    if (isKnown(measure.value[row])) return shown(measure.value[row], measure);
    return isKnown(measure.reason[row]) ? data.reasons[measure.reason[row]][full ? 1 : 0] : words.nothing;
  };
  const sideOf = (measure, row) => {
    const [low, high] = [measure.lower[row], measure.upper[row]];
    if (!measure.signed || !isKnown(low) || !isKnown(high)) return "plain";
    const sign = (bound) => (typeof bound === "string" ? (bound.startsWith(MINUS) ? -1 : 1) : Math.sign(bound));
    if (sign(low) > 0) return "above";
    return sign(high) < 0 ? "below" : "same";
  };

  // ---- interval bars: estimate and interval on one scale for all rows of a table
  const scaleOf = (measure) => {
    const inOrder = (part) => part.filter(isKnown).map(size).sort((one, other) => one - other);
    const [lows, values, highs] = [measure.lower, measure.value, measure.upper].map(inOrder);
    const at = (part, share) => (part.length ? [part[Math.floor((part.length - 1) * share)]] : []);
    const ends = [...(measure.signed ? [0] : []), ...at(lows, 0.02), ...at(highs, 0.98), ...at(values, 0), ...at(values, 1)];
    let [low, high] = ends.length ? [Math.min(...ends), Math.max(...ends)] : [0, 1];
    if (!(high > low)) [low, high] = [low - 1, high + 1];
    const within = (place) => Math.max(1, Math.min(119, place));
    return (value) => Math.round(within(4 + (112 * (size(value) - low)) / (high - low)) * 10) / 10;
  };
  const bar = (measure, row, scale) => {
    const box = draw("svg", { viewBox: "0 0 120 16", width: 120, height: 16, class: "bar side-" + sideOf(measure, row), "aria-hidden": "true", focusable: "false" });
    if (measure.signed) box.append(draw("line", { x1: scale(0), x2: scale(0), y1: 0, y2: 16, class: "zero" }));
    const [value, low, high] = [measure.value[row], measure.lower[row], measure.upper[row]];
    if (!isKnown(value)) return box;
    if (isKnown(low) && isKnown(high)) box.append(draw("line", { x1: scale(low), x2: scale(high), y1: 8, y2: 8, class: "reach" }));
    box.append(draw("circle", { cx: scale(value), cy: 8, r: 3.5, class: "dot" }));
    return box;
  };

  // ---- one table at a time
  const state = { table: null, measure: null, filters: {}, query: "", sort: null, page: 0, rows: [], whole: 0, active: 0 };
  const rowCount = (table) => table.columns[0].at.length;
  const searchText = (table) => {
    if (!table.texts) {
      const told = table.columns.filter((column) => column.kind !== "count" && column.kind !== "link");
      table.texts = Array.from({ length: rowCount(table) }, (_, row) =>
        [data.units[table.columns[0].at[row]][0], ...told.map((column) => textOf(column, row))].join("\n").toLowerCase());
    }
    return table.texts;
  };
  const sortKey = () => {
    const { by } = state.sort;
    if (by === "value") return (row) => state.measure.value[row];
    const column = state.table.columns.find((one) => one.id === by);
    return (row) => column.at[row];
  };
  const choose = () => {
    const table = state.table;
    const asked = state.query.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const set = table.columns.filter((column) => isKnown(state.filters[column.id]));
    const texts = asked.length ? searchText(table) : [];
    const rows = [];
    const { measure } = state;
    state.whole = 0;
    for (let row = 0; row < rowCount(table); row += 1) {
      if (measure && !isKnown(measure.value[row]) && !isKnown(measure.reason[row])) continue; // a paper this measure is not of
      state.whole += 1;
      if (set.every((column) => column.at[row] === state.filters[column.id]) && asked.every((part) => texts[row].includes(part))) rows.push(row);
    }
    if (state.sort) {
      const key = sortKey();
      const way = state.sort.down ? -1 : 1;
      rows.sort((one, other) => {
        const [left, right] = [key(one), key(other)];
        if (!isKnown(left) || !isKnown(right)) return isKnown(left) ? -1 : isKnown(right) ? 1 : one - other;
        return left === right ? one - other : way * (left < right ? -1 : 1);
      });
    }
    state.rows = rows;
  };

  // ---- head
  const headCell = (id, label, right) => {
    const sorted = state.sort && state.sort.by === id ? (state.sort.down ? "descending" : "ascending") : "none";
    const sign = { ascending: "▲", descending: "▼", none: "" }[sorted];
    const button = make("button", { type: "button", class: "sort", "data-sort": id, onclick: () => resort(id) }, label, make("span", { "aria-hidden": "true", text: sign }));
    const onPaper = make("span", { class: "on-paper", "aria-hidden": "true", text: label + " " + sign }); // buttons are not repeated from sheet to sheet
    return make("th", { scope: "col", "aria-sort": sorted, class: right ? "right" : null }, button, onPaper);
  };
  const resort = (id) => {
    const same = state.sort && state.sort.by === id;
    state.sort = !same ? { by: id, down: false } : state.sort.down ? null : { by: id, down: true };
    state.page = 0;
    show();
    byId("review-table").querySelector(`[data-sort="${id}"]`).focus();
  };

  // ---- body
  const bodyRow = (row, place, scale) => {
    const { table, measure } = state;
    const line = make("tr");
    for (const column of table.columns) {
      const said = textOf(column, row);
      if (column.kind === "unit") {
        const open = make("button", { type: "button", class: "unit", "aria-haspopup": "dialog", tabindex: place === state.active ? "0" : "-1", text: said, onclick: () => detail(column.at[row], row) });
        line.append(make("th", { scope: "row" }, open));
      } else if (column.kind === "link") {
        line.append(make("td", {}, make("a", { href: said, text: words.open_why })));
      } else if (column.id === "side") {
        line.append(make("td", { class: "side-" + sideOf(measureById("z_mean") || measure, row), text: said }));
      } else line.append(make("td", { class: column.kind === "count" ? "right" : null, text: said }));
    }
    if (measure) {
      const lacking = !isKnown(measure.value[row]);
      const why = lacking && isKnown(measure.reason[row]) ? data.reasons[measure.reason[row]][1] : null;
      const cell = make("td", { class: lacking ? "soft right" : "right", title: why });
      const reasons = table.why && table.why[row];
      cell.append(reasons ? make("a", { href: reasons, "aria-label": valueOf(measure, row) + words.colon + words.open_why, text: valueOf(measure, row) }) : valueOf(measure, row));
      line.append(cell, make("td", { class: "soft right", text: intervalOf(measure, row) }), make("td", { class: "drawn" }, bar(measure, row, scale)));
    }
    return line;
  };
  const measureById = (id) => state.table.measures.find((one) => one.id === id);

  const sortSaid = () => {
    if (!state.sort) return "";
    const { by, down } = state.sort;
    const column = state.table.columns.find((one) => one.id === by);
    return fill(down ? words.sorted_down : words.sorted_up, { what: column ? column.label : state.measure.label });
  };
  const filtersSaid = () => {
    const set = state.table.columns.filter((column) => isKnown(state.filters[column.id]));
    const told = set.map((column) => column.label + words.colon + (column.kind === "unit" ? data.units[state.filters[column.id]][1] : column.values[state.filters[column.id]]));
    if (state.query.trim()) told.push(words.searched + words.colon + state.query.trim());
    return told.join(words.semicolon);
  };
  const show = (said = true, size = PAGE) => {
    choose();
    const { table, measure } = state;
    const pages = Math.max(1, Math.ceil(state.rows.length / PAGE));
    state.page = Math.min(state.page, pages - 1);
    const first = size === PAGE ? state.page * PAGE : 0;
    const part = state.rows.slice(first, first + size);
    state.active = Math.min(state.active, Math.max(0, part.length - 1));
    const head = make("tr", {}, ...table.columns.map((column) => (column.kind === "link" ? make("th", { scope: "col", text: column.label }) : headCell(column.id, column.label, column.kind === "count"))));
    if (measure) head.append(headCell("value", measure.label, true), make("th", { scope: "col", class: "right", text: words.interval }), make("th", { scope: "col", text: words.drawn }));
    const scale = measure ? (measure.scale = measure.scale || scaleOf(measure)) : null;
    const caption = make("caption", {}, make("span", { text: table.label + (measure && table.measures.length > 1 ? words.colon + measure.label : "") }));
    const body = make("tbody", {}, ...part.map((row, place) => bodyRow(row, place, scale)));
    byId("review-table").replaceChildren(make("table", {}, caption, make("thead", {}, head), body));
    byId("review-note").textContent = table.note;
    byId("review-empty").hidden = state.rows.length > 0;
    byId("review-place").textContent = fill(words.place_of, { page: count(state.page + 1), pages: count(pages) });
    for (const [id, off] of [["first", state.page === 0], ["back", state.page === 0], ["next", state.page >= pages - 1], ["last", state.page >= pages - 1]]) {
      byId("review-" + id).setAttribute("aria-disabled", String(off));
    }
    const told = { n: count(state.rows.length), whole: count(state.whole), first: count(part.length ? first + 1 : 0), last: count(first + part.length) };
    if (said) byId("review-status").textContent = fill(words.status, told) + sortSaid();
    byId("review-chosen").textContent = [filtersSaid(), fill(words.status, told) + sortSaid()].filter(Boolean).join(words.semicolon); // on paper
  };
  const turn = (to) => {
    const pages = Math.max(1, Math.ceil(state.rows.length / PAGE));
    const page = Math.max(0, Math.min(pages - 1, to));
    if (page === state.page) return;
    state.page = page;
    state.active = 0;
    show();
  };

  // ---- the arrow keys walk through the schools of the table; Enter opens one
  const walk = (event) => {
    if (!event.target.classList.contains("unit")) return;
    const all = [...byId("review-table").querySelectorAll("button.unit")];
    const here = all.indexOf(event.target);
    const steps = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: all.length - 1 };
    if (event.key === "PageDown" || event.key === "PageUp") {
      turn(state.page + (event.key === "PageDown" ? 1 : -1));
      event.preventDefault();
      byId("review-table").querySelector('button.unit[tabindex="0"]')?.focus();
      return;
    }
    if (!(event.key in steps)) return;
    event.preventDefault();
    const next = all[Math.max(0, Math.min(all.length - 1, steps[event.key]))];
    all[here].tabIndex = -1;
    next.tabIndex = 0;
    state.active = all.indexOf(next);
    next.focus();
  };

  // ---- one school: everything the page holds of it
  const smallTable = (caption, heads, lines) => {
    const head = make("tr", {}, ...heads.map(([label, right]) => make("th", { scope: "col", class: right ? "right" : null, text: label })));
    const body = lines.map((cells) => make("tr", {}, ...cells.map((cell, place) => {
      if (place === 0) return make("th", { scope: "row", text: cell });
      return cell instanceof Node ? make("td", { class: "drawn" }, cell) : make("td", { class: heads[place][1] ? "right" : null, text: cell });
    })));
    const box = make("table", {}, make("caption", { text: caption }), make("thead", {}, head), make("tbody", {}, ...body));
    return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption }, box);
  };
  const rowsOf = (table, unit) => table.columns[0].at.flatMap((at, row) => (at === unit ? [row] : []));
  const wanted = (table, row) => { // where a table opens with one subject: that one, and the subject one came from
    const here = state.table.columns.find((column) => column.id === "subject");
    return (other) => Object.entries(table.preset || {}).every(([id, value]) => {
      const column = table.columns.find((one) => one.id === id);
      return column.at[other] === value || (id === "subject" && here && textOf(column, other) === textOf(here, row));
    });
  };
  const named = (table, row) => table.columns.filter((column) => ["exam", "year_group", "subject", "year"].includes(column.id)).map((column) => textOf(column, row)).join(" · ");
  const ofTable = (table, measure, unit, from) => {
    const rows = rowsOf(table, unit).filter(wanted(table, from)).filter((row) => isKnown(measure.value[row]) || isKnown(measure.reason[row]));
    const scale = (measure.scale = measure.scale || scaleOf(measure));
    const grade = table.columns.find((column) => column.id === "grade");
    const heads = [[words.what, false], [measure.label, true], [words.interval, true], [words.drawn, false]];
    if (grade) heads.push([grade.label, false]);
    const meaning = (row) => {
      const letter = textOf(grade, row);
      const known = (table.legend || []).find(([one]) => one === letter);
      return known ? letter + " " + known[1] : letter;
    };
    const lines = rows.map((row) => [named(table, row), valueOf(measure, row, true), intervalOf(measure, row), bar(measure, row, scale), ...(grade ? [meaning(row)] : [])]);
    return rows.length ? smallTable(table.label + words.colon + measure.label, heads, lines) : null;
  };
  const everyMeasure = (table, row) => {
    const heads = [[words.measure, false], [words.value, true], [words.interval, true]];
    const kept = table.measures.filter((measure) => isKnown(measure.value[row]) || isKnown(measure.reason[row]));
    return smallTable(fill(words.all_of, { what: named(table, row) }), heads, kept.map((measure) => [measure.label, valueOf(measure, row, true), intervalOf(measure, row)]));
  };
  const detail = (unit, row) => {
    const [id, name, place] = data.units[unit];
    const parts = [];
    if (state.table.measures.length > 1) parts.push(everyMeasure(state.table, row));
    for (const table of data.tables) {
      if (table.id === "verdicts") {
        const link = table.columns.find((column) => column.kind === "link");
        const told = table.columns.filter((column) => column.kind === "choice" && column.id !== "place");
        const lines = rowsOf(table, unit).map((one) => make("li", {}, make("a", { href: link.at[one], text: words.open_why + words.colon + textOf(told[0], one) }), " ", told.slice(1).map((column) => column.label + " " + textOf(column, one)).join(words.semicolon)));
        if (lines.length) parts.unshift(make("div", {}, make("h3", { text: table.label }), make("ul", {}, ...lines)));
      } else parts.push(ofTable(table, table === state.table ? state.measure : table.measures[0], unit, row));
    }
    byId("review-school").textContent = name;
    byId("review-school-line").textContent = [id, place].filter(Boolean).join(" · ");
    byId("review-school-body").replaceChildren(...parts.filter(Boolean));
    byId("review-detail").showModal();
    byId("review-school").focus();
  };

  // ---- controls
  const option = (value, label) => make("option", { value, text: label });
  const select = (id, label, options, change) => {
    const box = make("select", { id, onchange: (event) => change(event.target.value) }, ...options);
    return make("p", { class: "field" }, make("label", { for: id, text: label }), box);
  };
  const controls = () => {
    const { table } = state;
    const fields = [];
    if (table.measures.length > 1) {
      const options = table.measures.map((measure) => option(measure.id, measure.label));
      fields.push(select("review-measure", words.measure, options, (value) => { state.measure = measureById(value); show(); }));
    }
    for (const column of table.columns.filter((one) => one.filter)) {
      const occurring = new Set(column.at);
      const values = column.kind === "unit" ? data.units.map((unit) => unit[1]) : column.values;
      const options = values.flatMap((value, place) => (occurring.has(place) ? [option(String(place), value)] : []));
      fields.push(select("review-filter-" + column.id, column.label, [option("", words.all), ...options], (value) => {
        if (value === "") delete state.filters[column.id];
        else state.filters[column.id] = Number(value);
        state.page = 0;
        show();
      }));
    }
    byId("review-fields").replaceChildren(...fields);
    for (const [id, value] of Object.entries(state.filters)) byId("review-filter-" + id).value = String(value);
  };
  const clear = () => {
    Object.assign(state, { filters: {}, query: "", sort: null, page: 0, active: 0 });
    byId("review-search").value = "";
    controls();
    if (state.table.measures.length > 1) byId("review-measure").value = state.measure.id;
    show();
  };
  const open = (table, said = true) => {
    Object.assign(state, { table, measure: table.measures[0] || null, filters: { ...table.preset }, sort: null, page: 0, active: 0 });
    controls();
    show(said);
  };

  const tables = byId("review-tables");
  data.tables.forEach((table, place) => {
    const radio = make("input", { type: "radio", name: "review-which", id: "review-which-" + table.id, value: table.id, checked: place === 0, onchange: () => open(table) });
    tables.append(make("span", {}, radio, make("label", { for: radio.id, text: table.label })));
  });
  tables.parentElement.hidden = data.tables.length < 2;
  let waiting = 0;
  byId("review-search").addEventListener("input", (event) => {
    state.query = event.target.value;
    state.page = 0;
    clearTimeout(waiting);
    waiting = setTimeout(show, 120);
  });
  byId("review-clear").addEventListener("click", clear);
  byId("review-first").addEventListener("click", () => turn(0));
  byId("review-back").addEventListener("click", () => turn(state.page - 1));
  byId("review-next").addEventListener("click", () => turn(state.page + 1));
  byId("review-last").addEventListener("click", () => turn(Infinity));
  byId("review-table").addEventListener("keydown", walk);
  byId("review-close").addEventListener("click", () => byId("review-detail").close());
  // on paper: all rows that are chosen, within reason, or the school that is open
  const school = byId("review-detail");
  const reopen = (way) => {
    if (!school.open) return;
    school.close();
    school[way]();
  };
  window.addEventListener("beforeprint", () => { show(false, PRINTED); reopen("show"); });
  window.addEventListener("afterprint", () => { show(false); reopen("showModal"); });
  open(data.tables[0]);
  byId("review").hidden = false;
  byId("review-plain").hidden = true;
})();
