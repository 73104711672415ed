/* Passkeys: a form with an empty [data-passkey] field asks the browser for one first, and is sent with its answer.
   Whoever typed a code instead is not asked. Without this script the forms take codes and passwords. */
(() => {
  'use strict';

  const OPTIONS = '/account/factors/passkey/';
  const WORDS = {
    NotAllowedError: 'The passkey was not used: it was cancelled, or took too long.',
    InvalidStateError: 'This device has a passkey of yours already.',
    SecurityError: 'Passkeys do not work at this address: open the portal by its name, not by a number.',
  };

  const answers = {
    creation: (options) => navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options)}),
    request: (options) => navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options)}),
  };

  async function answer(purpose) {
    if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) throw new Error('This browser can’t use passkeys here.');
    const response = await fetch(`${OPTIONS}${purpose}/`, {headers: {Accept: 'application/json'}});
    if (!response.ok) throw new Error('The portal did not answer. Load the page anew.');
    const credential = await answers[purpose]((await response.json()).publicKey);
    return JSON.stringify(credential.toJSON());
  }

  function tell(form, words) {
    let told = form.querySelector('[data-passkey-told]');
    if (!told) {
      told = Object.assign(document.createElement('p'), {className: 'error'});
      told.dataset.passkeyTold = '';
      told.setAttribute('role', 'alert');
      form.querySelector('[data-passkey]').before(told);
    }
    told.textContent = words;
  }

  // Before portal.js, which lets a form go once, and htmx: what they would send is not there yet.
  document.addEventListener('submit', async (event) => {
    const form = event.target;
    const code = form.querySelector('[name=code]');
    const wanted = [...form.querySelectorAll('[data-passkey]')]
      .filter((field) => !field.value && !(field.dataset.passkey === 'request' && code?.value.trim()));
    if (!wanted.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (form.dataset.asking) return;
    form.dataset.asking = '1';
    try {
      // The key that is there is asked before the new one is made.
      wanted.sort((a, b) => b.dataset.passkey.localeCompare(a.dataset.passkey));
      for (const field of wanted) field.value = await answer(field.dataset.passkey);
    } catch (error) {
      for (const field of wanted) field.value = '';
      tell(form, `${WORDS[error.name] || error.message} Nothing was sent.${code ? ' Try again, or type a code.' : ''}`);
      return;
    } finally {
      delete form.dataset.asking;
    }
    form.requestSubmit(event.submitter);
  }, true);

  // What a page that is shown again holds was used already.
  window.addEventListener('pageshow', () => {
    for (const field of document.querySelectorAll('[data-passkey]')) field.value = '';
  });
})();
