/** The whole system as a person uses it: real binary, real browser, simulated trackers on real sockets. In this order. */

import './stage';
import './cases/entering';
import './cases/fences';
import './cases/together';
import './cases/notifications';
import './cases/people';
import './cases/changes';
import './cases/sharing';
import './cases/map';
import './cases/feed';
import './cases/spot';
import './cases/vehicle';
import './cases/journeys';
import './cases/history';
import './cases/replay';
import './cases/acting';
import './cases/phone';
import './cases/address';
import './cases/keyboard';
import './cases/everybody';
