// What mail clients support, by the data of caniemail and of emailens; both work without a network.
import { auditEmail } from '@emailens/engine';
import { caniemail } from 'caniemail';

const CLIENTS = ['gmail.desktop-webmail', 'gmail.ios', 'gmail.android', 'outlook.windows', 'outlook.macos',
  'outlook.outlook-com', 'outlook.ios', 'outlook.android', 'apple-mail.macos', 'apple-mail.ios'];

// Each loss was looked at: the mail reads well without it there.
const WITHOUT = {
  '@media': ['outlook.windows'],
  'border-radius': ['outlook.windows'],
  'Attribute selector': ['outlook.windows'],
  opacity: ['outlook.windows'],
  overflow: ['outlook.windows'],
  outline: ['outlook.windows'],
  'word-spacing': ['outlook.windows'],
  '<body> element': ['outlook.macos'],
  'Local anchors': ['gmail.ios', 'outlook.ios', 'outlook.android'],
};

// Only a digest needs a way to leave; a confirmation or an alert comes once, because it was asked for.
export function clients(html, { digest, hostile }) {
  const faults = [];
  // caniemail takes `text-transform` for `transform`.
  const accepted = /(?<!text-)\btransform\s*:/.test(html) ? WITHOUT : { ...WITHOUT, transform: CLIENTS };
  for (const [client, issues] of caniemail({ clients: CLIENTS, html }).issues.errors) {
    for (const { title } of issues) {
      if (!(accepted[title] ?? []).includes(client)) faults.push(`33 ${client} does not know ${title}`);
    }
  }
  const report = auditEmail(html, { framework: 'mjml' });
  for (const { severity, property, message } of report.compatibility.warnings) {
    if (severity === 'error') faults.push(`32 ${property}: ${message}`);
  }
  const spam = report.spam.issues.map(({ rule }) => rule).filter((rule) => digest || rule !== 'missing-unsubscribe');
  if (report.spam.score < 95 && spam.length) faults.push(`32 spam score ${report.spam.score}: ${spam}`);
  if (report.size.clipped) faults.push(`32 ${report.size.htmlBytes} bytes would be clipped`);
  // A paper may be called `{{ 7*7 }}`; then it is shown so.
  if (!hostile && report.templateVariables.unresolvedCount) faults.push('32 unresolved merge tags');
  return [...new Set(faults)];
}
