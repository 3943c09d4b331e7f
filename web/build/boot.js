(() => {
  let theme = null;
  try {
    theme = localStorage.getItem('djstream.theme');
  } catch {
    // Storage may be forbidden; the system's theme is used then.
  }
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  for (const href of __PRELOADS__[location.pathname.split('/')[1]] ?? []) {
    const link = document.createElement('link');
    const style = href.endsWith('.css');
    link.rel = style ? 'preload' : 'modulepreload';
    if (style) link.as = 'style';
    link.href = href;
    document.head.append(link);
  }
})();
