"""The example marketplace and its accounts. Their ids are derived from their names: the same in every database."""

from dataclasses import dataclass
from functools import partial
from uuid import UUID, uuid5

from gateway.domain.installations import AuthorizationMethod

_OAUTH, _API_KEY = AuthorizationMethod.OAUTH, AuthorizationMethod.API_KEY


example_id = partial(uuid5, UUID("6f1d2f6e-6b0e-5b8e-9d51-0c2f7a1e4b90"))
"""Derives the id of an example from its name."""


@dataclass(frozen=True, slots=True)
class ExampleApplication:
    """One application of the example marketplace."""

    slug: str
    name: str
    description: str
    categories: tuple[str, ...]
    method: AuthorizationMethod
    requires_configuration: bool = False
    listed: bool = True

    @property
    def id(self) -> UUID:
        return example_id(self.slug)


APPLICATIONS = (
    ExampleApplication(
        "ledgerline", "Ledgerline", "Double-entry bookkeeping for small companies.", ("accounting",), _OAUTH
    ),
    ExampleApplication(
        "bookwell", "Bookwell", "Accounting in the cloud, with bank feeds.", ("accounting",), _OAUTH, True
    ),
    ExampleApplication(
        "northwind-erp", "Northwind ERP", "Purchasing, stock and finance in one.", ("erp", "accounting"), _OAUTH, True
    ),
    ExampleApplication("peoplehub", "PeopleHub", "Employees, departments and absences.", ("hr",), _OAUTH),
    ExampleApplication("taxwise", "Taxwise", "VAT returns and tax codes for eleven countries.", ("tax",), _API_KEY),
    ExampleApplication("payrun", "Payrun", "Payroll with reimbursements.", ("hr", "payroll"), _API_KEY),
    ExampleApplication("costcentral", "CostCentral", "Budgets and cost centres.", ("reporting",), _API_KEY, True),
    ExampleApplication("travelmate", "Travelmate", "Trips, per diems and mileage.", ("travel",), _OAUTH),
    ExampleApplication(
        "invoicely", "Invoicely", "Supplier invoices, matched to purchase orders.", ("accounting",), _OAUTH, True
    ),
    ExampleApplication("auditrail", "Auditrail", "An archive that auditors accept.", ("compliance",), _API_KEY),
    ExampleApplication("fleetcard", "Fleetcard", "Fuel cards and vehicles.", ("travel",), _API_KEY, True),
    ExampleApplication("meridian-erp", "Meridian ERP", "Finance for groups of companies.", ("erp",), _OAUTH, True),
    ExampleApplication("cashview", "Cashview", "Cash-flow forecasts.", ("reporting",), _OAUTH),
    ExampleApplication("hirely", "Hirely", "Onboarding for new colleagues.", ("hr",), _OAUTH, True),
    ExampleApplication("datawell", "Datawell", "Exports to your warehouse.", ("reporting",), _API_KEY),
    ExampleApplication(
        "house-connector",
        "House connector",
        "Made for one customer; not in the marketplace.",
        ("erp",),
        _OAUTH,
        False,
        False,
    ),
)


@dataclass(frozen=True, slots=True)
class ExampleAccount:
    """One company with an account."""

    name: str

    @property
    def id(self) -> UUID:
        return example_id(self.name)


ACCOUNTS = (
    ExampleAccount("Acme Bakery"),
    ExampleAccount("Blue Harbour Shipping"),
    ExampleAccount("Cedar & Sons Architects"),
    ExampleAccount("Delta Robotics"),
)
