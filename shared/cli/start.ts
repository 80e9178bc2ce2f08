// npm start is npm run phase:N without a number. It runs the newest phase.
import './phase.ts';
