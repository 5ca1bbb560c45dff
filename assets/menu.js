/* A button that unfolds a list of things to choose from: arrows move, Escape and a press elsewhere fold it. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, icon } = studio;

  /* `items` gives { name, title, what, image? } for each, or a promise of them; `chosen` does one and says meanwhile what it does. With `bare` only the icon is seen. */
  studio.menu = ({ label, name, iconName, items, chosen, bare = false }) => {
    const list = h("div", { class: "export-list", role: "menu", "aria-label": name, hidden: true });
    const said = h("span", {}, label);
    const opener = h(
      "button",
      {
        type: "button",
        class: bare ? "icon-button export-open" : "button small export-open",
        "aria-haspopup": "menu",
        "aria-expanded": "false",
        "aria-label": bare ? label : null,
        title: bare ? label : null,
        onclick: () => (list.hidden ? unfold() : fold()),
      },
      icon(iconName),
      bare ? null : said,
    );
    const entries = () => [...list.children];
    const pressed = (event) => !whole.contains(event.target) && fold();
    const fold = () => {
      document.removeEventListener("pointerdown", pressed);
      list.hidden = true;
      opener.setAttribute("aria-expanded", "false");
    };
    const unfold = async () => {
      const found = await items();
      list.replaceChildren(
        ...found.map((item) =>
          h(
            "button", { type: "button", role: "menuitem", tabindex: "-1", "data-format": item.name, onclick: () => choose(item) },
            ...(item.image ? [h("img", { src: item.image, alt: "" })] : []), h("b", {}, item.title), h("small", {}, item.what),
          )),
      );
      document.addEventListener("pointerdown", pressed);
      list.hidden = false;
      opener.setAttribute("aria-expanded", "true");
      entries()[0].focus({ preventScroll: true });
      list.scrollIntoView({ block: "nearest" });
    };
    async function choose(item) {
      fold();
      opener.focus();
      opener.setAttribute("aria-busy", "true");
      try {
        await chosen(item, (text) => (said.textContent = text));
      } finally {
        opener.removeAttribute("aria-busy");
        said.textContent = label;
      }
    }
    const whole = h("div", { class: "export" }, opener, list);
    whole.addEventListener("keydown", (event) => {
      const at = entries().indexOf(document.activeElement);
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
      if (event.key === "Escape" && !list.hidden) {
        fold();
        opener.focus();
      } else if (to !== undefined && !list.hidden) entries().at(to % entries().length).focus();
      else if (event.key === "ArrowDown") unfold();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    whole.addEventListener("focusout", (event) => event.relatedTarget && !whole.contains(event.relatedTarget) && fold());
    return whole;
  };
})();
