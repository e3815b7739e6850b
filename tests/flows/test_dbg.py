import os
import pytest
from pathlib import Path
from tests.flows.test_runbook import FAILURES, PREPARATION
from tests.flows.shop import Shop
from tests.support.desk import Shell, lay_out
@pytest.mark.parametrize("page", os.environ.get("DBG","the-api-answers-with-5xx").split(","))
def test_dbg(shop: Shop, page: str, tmp_path: Path) -> None:
    f = FAILURES[page]
    f.happens(shop)
    shop.pass_time(minutes=1)
    out=[shop.rehearsal.clock.now()]
    with Shell(lay_out(tmp_path), shop.rehearsal) as shell:
        out.append(shop.rehearsal.clock.now())
        for b in PREPARATION: 
            shell.run(b.replace("STAGE=prod","STAGE=dev"))
            out.append(shop.rehearsal.clock.now())
        out.append(shell.run("aws cloudwatch describe-alarms --state-value ALARM --query 'MetricAlarms[].[AlarmName,AlarmDescription]'"))
        out.append(shell.run("firing "+page))
        out.append(shop.rehearsal.clock.now())
    assert 0, "\n".join(map(str,out))
