export type Theme = 'system' | 'light' | 'dark';

// The boot script reads this key before the first paint; it is plain text, not JSON.
const KEY = 'djstream.theme';

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : 'system';
  } catch {
    return 'system';
  }
}

class ThemeChoice {
  #current = $state<Theme>(stored());

  get current(): Theme {
    return this.#current;
  }

  set current(theme: Theme) {
    this.#current = theme;
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      if (theme === 'system') localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // The choice holds until the page is closed.
    }
  }
}

/** Light, dark or as the system says; kept on this device. */
export const theme = new ThemeChoice();
