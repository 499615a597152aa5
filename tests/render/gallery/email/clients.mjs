// Support in mail clients, by the data of caniemail and emailens; both work without network.
import { auditEmail } from '@emailens/engine';
import { caniemail } from 'caniemail';

const CLIENTS = ['gmail.desktop-webmail', 'gmail.ios', 'gmail.android', 'outlook.windows', 'outlook.macos',
  'outlook.outlook-com', 'outlook.ios', 'outlook.android', 'apple-mail.macos', 'apple-mail.ios'];

// Checked by hand: the email is readable without these features.
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

// Only a digest needs an unsubscribe link; other emails are sent once, on request.
export function clients(html, { digest, hostile }) {
  const faults = [];
  // caniemail mistakes `text-transform` for `transform`.
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
  // The hostile email shows the literal text `{{ 7*7 }}`.
  if (!hostile && report.templateVariables.unresolvedCount) faults.push('32 unresolved merge tags');
  return [...new Set(faults)];
}
