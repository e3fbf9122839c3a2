// What the browser keeps: the key for this tab, or on request for this device; light or dark.

import { h } from "./dom.js";

const THEMES = ["auto", "light", "dark"];

export class KeyPlace {
  constructor(name) {
    this.name = name;
  }

  read() {
    return sessionStorage.getItem(this.name) || localStorage.getItem(this.name) || "";
  }

  write(key, remember) {
    this.forget();
    (remember ? localStorage : sessionStorage).setItem(this.name, key);
  }

  forget() {
    sessionStorage.removeItem(this.name);
    localStorage.removeItem(this.name);
  }
}

// A button that goes round: as the system has it, light, dark.
export function themeButton(button) {
  const show = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.replaceChildren(h("span", { class: "wide" }, "Theme: "), theme);
    button.setAttribute("aria-label", `Theme: ${theme}. Change`);
  };
  let theme = localStorage.getItem("askfleet.theme") || "auto";
  show(theme);
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    localStorage.setItem("askfleet.theme", theme);
    show(theme);
  });
}

// Asks for a key until one is taken; resolves with it. `check` throws what is wrong with a key.
export function askForKey(dialog, place, check, problem = "") {
  const form = dialog.querySelector("form");
  const told = dialog.querySelector("[data-problem]");
  const input = form.elements.key;
  told.textContent = problem;
  input.value = "";
  if (!dialog.open) dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      const key = input.value.trim();
      if (!key) return;
      try {
        await check(key);
      } catch (error) {
        told.textContent = error.message;
        input.select();
        return;
      }
      place.write(key, form.elements.remember.checked);
      form.onsubmit = null;
      dialog.close();
      resolve(key);
    };
  });
}
