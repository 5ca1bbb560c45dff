/* Under the prompt: which of its words the model does not know, the nearest that it does one press away, and all that it
   knows in a panel. What is unknown is the API's to say; this only asks, shows and puts words into the prompt. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, button, api, attempt, places } = studio;
  const WAIT_MS = 250;
  const STILL_TYPING_MS = 900; // the word at the cursor is not yet written
  const SHOWN = 4;
  const LONGEST = 32;
  const LATIN = /[a-z]/i; // in a prompt that is otherwise Japanese or Chinese: a mixture
  const KINDS = {
    subject: "Who and what",
    colour: "Colours",
    material: "Made of",
    action: "What it does",
    place: "Where",
    camera: "Camera",
    look: "Look",
    sound: "Music",
    tempo: "Tempo",
    voice: "Voice",
    ambience: "Sounds around",
  };
  const AFTER_A_COMMA = ["camera", "look", "sound", "ambience"];
  const field = () => document.querySelector("#field-prompt textarea");
  const clipped = (text) => (Array.from(text).length > LONGEST ? `${Array.from(text).slice(0, LONGEST).join("")}…` : text);

  /* The prompt with one unknown word replaced, as a person would: its capital letter and the article before it follow. */
  function replaced(prompt, { word, nearest, start, end }) {
    const letters = Array.from(prompt); // the API counts characters as Python does
    if (letters.slice(start, end).join("") !== word) return null;
    const before = letters.slice(0, start).join("");
    const begins = /(^|[.!?]\s*)$/.test(before) && /^\p{Lu}/u.test(word);
    const article = /^[aeiou]/.test(nearest) && !nearest.startsWith("uni") ? "n" : "";
    return {
      head:
        before.replace(/(^|\s)(a)n?(\s+)$/i, (_, gap, a, space) => `${gap}${a}${article}${space}`) +
        (begins ? nearest[0].toUpperCase() + nearest.slice(1) : nearest),
      tail: letters.slice(end).join(""),
    };
  }

  /* The prompt with a phrase of the vocabulary at its end. */
  function extended(prompt, kind, phrase) {
    const held = prompt.trimEnd();
    const joint = !held || /[,;:]$/.test(held) || !AFTER_A_COMMA.includes(kind) ? " " : ", ";
    return `${held}${joint}${phrase}`.trimStart();
  }

  function mountWords(element, trigger, props) {
    const place = element.querySelector(".words");
    const models = place.dataset.models.split(" ");
    const note = h("span", { class: "words-note", "aria-live": "polite" });
    const known = h("button", { type: "button", class: "words-link", onclick: () => panel.open() }, "Words it knows");
    let timer = 0;
    let asked = 0;
    let told = null;

    const put = (prompt) => {
      props.value = { chosen: prompt };
      trigger("select");
    };
    const replace = (each) => {
      const parts = replaced(field().value, each);
      if (!parts) return look();
      put(parts.head + parts.tail);
      field().focus();
      return setTimeout(() => field().setSelectionRange(parts.head.length, parts.head.length), 80);
    };
    const named = (each, alone) => [
      `“${clipped(each.word)}”`,
      ...(each.nearest === null
        ? []
        : [
            alone ? "; nearest: " : " (nearest: ",
            h(
              "button",
              {
                type: "button",
                class: "words-nearest",
                title: `Put “${each.nearest}” in its place`,
                onclick: () => replace(each),
              },
              each.nearest,
            ),
            alone ? "" : ")",
          ]),
    ];
    const other = ({ model, title }) => [
      `${title} does: `,
      h("button", { type: "button", class: "words-other", onclick: () => studio.bridge("select", { model }) }, `use ${title}`),
      ". ",
    ];
    /* The chips above mark what stands for nothing here. */
    const tellChips = (unknown) => {
      studio.unknownWords = unknown;
      dispatchEvent(new Event("studio-words"));
    };
    const draw = (title, unknown, { known_by: knowing = [], language = "en" } = {}) => {
      const key = JSON.stringify([unknown, knowing, language]);
      if (key === told) return; // said once is enough for those who listen
      told = key;
      tellChips(unknown);
      const shown = unknown.slice(0, SHOWN);
      const more = unknown.length - shown.length;
      const isForeign = { en: false, ja: !LATIN.test(field()?.value), zh: !LATIN.test(field()?.value) }[language] ?? unknown.length > 1;
      if (isForeign && unknown.length) {
        const name = new Intl.DisplayNames(["en"], { type: "language" }).of(language);
        return void note.replaceChildren(`${title} reads English; this looks like ${name}. Enhance puts it into words that ${title} knows.`);
      }
      const joint = (i) => (i === 0 ? "" : i === shown.length - 1 && !more ? " and " : ", ");
      note.replaceChildren(
        ...(shown.length ? [`${title} does not know `] : []),
        ...shown.flatMap((each, i) => [joint(i), ...named(each, unknown.length === 1)]),
        ...(shown.length ? [more ? ` and ${more} more. ` : ". "] : []),
        ...(shown.length && knowing.length ? other(knowing[0]) : []),
      );
    };
    const ask = async () => {
      const mine = (asked += 1);
      const prompt = field()?.value ?? "";
      // Away servers are told elsewhere on the page.
      const answer = prompt.trim()
        ? await api("/prompts/check", { method: "POST", json: { model: studio.form.model, prompt } }).catch(() => null)
        : { unknown: [] };
      if (mine !== asked || !answer) return;
      const cursor = document.activeElement === field() ? field().selectionStart : -1;
      const calls = (studio.triggerWords ?? []).flatMap((word) => word.toLowerCase().split(/\s+/)); // a style knows them
      answer.unknown = answer.unknown.filter((each) => !calls.includes(each.word.toLowerCase()));
      const isWritten = (each) => Array.from(prompt).slice(0, each.end).join("").length !== cursor;
      draw(answer.title, answer.unknown.filter(isWritten), answer);
      if (!answer.unknown.every(isWritten))
        timer = setTimeout(() => mine === asked && draw(answer.title, answer.unknown, answer), STILL_TYPING_MS);
    };
    const look = () => {
      const { model } = studio.form;
      clearTimeout(timer);
      asked += 1;
      place.hidden = !models.includes(model);
      if (place.hidden) draw("", []);
      else timer = setTimeout(ask, WAIT_MS);
      panel.follow();
    };
    const panel = panelOf(put);
    place.replaceChildren(h("p", {}, note, known));
    addEventListener("studio-form", look);
    look();
  }

  function panelOf(put) {
    const shelf = h("div", { class: "lexicon-shelf" });
    const title = h("h2", { id: "lexicon-title" });
    const prompt = h("p", { class: "lexicon-prompt", "aria-live": "polite" });
    const done = () => dialog.close();
    const dialog = h(
      "dialog",
      { class: "lexicon", "aria-labelledby": "lexicon-title", onclick: (event) => event.target === dialog && done() },
      h(
        "div",
        { class: "lexicon-sheet" },
        h("div", { class: "lexicon-head" }, title, button("Close", "close", done)),
        h("p", { class: "hint" }, "Press a word to add it to the prompt. In small: other names for the same."),
        shelf,
        h("div", { class: "lexicon-foot" }, prompt, button("Done", null, done, { text: true, class: "button primary" })),
      ),
    );
    let drawn = null;
    const follow = (text = field()?.value ?? "") => {
      prompt.textContent = text.trim() || "The prompt is still empty.";
      prompt.scrollTop = prompt.scrollHeight;
    };
    const chip = (kind, [first, ...others]) =>
      h(
        "button",
        {
          type: "button",
          class: "chip",
          title: [first, ...others].join(", "),
          onclick: () => {
            const text = extended(field().value, kind, first);
            put(text);
            follow(text);
          },
        },
        h("span", {}, first),
        others.length ? h("small", {}, others.join(", ")) : null,
      );
    const section = ([kind, table]) =>
      h(
        "section",
        {},
        h("h3", {}, KINDS[kind] ?? kind[0].toUpperCase() + kind.slice(1)),
        h("div", { class: "chips" }, Object.values(table).map((phrases) => chip(kind, phrases))),
      );
    const open = () =>
      attempt(async () => {
        const { model } = studio.form;
        if (drawn !== model) {
          const words = await api(`/models/${encodeURIComponent(model)}/words`);
          title.textContent = `Words that ${words.title} knows`;
          shelf.replaceChildren(...Object.entries(words.knows).map(section));
          drawn = model;
        }
        if (!dialog.isConnected) document.body.append(dialog);
        follow();
        dialog.showModal();
      });
    return { open, follow };
  }

  places.words = mountWords;
})();
