'use strict';

// Which of the page's forms stands for which path, and which route of the server answers it.
const routes = {
  'verify-email': 'verify-email',
  'reset-password': 'reset-password',
  'magic-login': 'login/magic-link/verify',
};

const name = location.pathname.split('/').pop();
const form = document.getElementById(name in routes ? name : 'account');
const said = document.getElementById('said');
form.hidden = false;

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const body = Object.fromEntries(new FormData(form));
  const route = routes[name] ?? event.submitter.value;
  if (name in routes) body.token = new URLSearchParams(location.search).get('token') ?? '';
  if (route === 'register') body.termsAccepted = true;
  said.textContent = '…';
  try {
    const response = await fetch(`api/${route}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    const details = (answer.details ?? []).map((detail) => detail.message).join('; ');
    said.textContent = answer.message ?? ([answer.error, details].filter(Boolean).join(': ') || 'Signed in.');
    if (answer.token) {
      document.getElementById('token').value = answer.token;
      document.getElementById('got').hidden = false;
    }
  } catch {
    said.textContent = 'The server did not answer.';
  }
});
