CREATE TABLE branch (branch_id INT PRIMARY KEY, branch_name TEXT, city TEXT, manager_id INT);
CREATE TABLE mechanic (mechanic_id INT PRIMARY KEY, first_name TEXT, last_name TEXT, salary NUMERIC, hire_date DATE, boss_id INT REFERENCES mechanic, branch_id INT REFERENCES branch);
CREATE TABLE owner (owner_id INT PRIMARY KEY, owner_name TEXT, email TEXT, phone TEXT);
CREATE TABLE car (car_id INT PRIMARY KEY, make TEXT, model TEXT, horsepower INT, weight INT, made_year INT, owner_id INT REFERENCES owner);
CREATE TABLE repair (repair_id INT PRIMARY KEY, car_id INT REFERENCES car, mechanic_id INT REFERENCES mechanic, repair_date DATE, cost NUMERIC, status_code TEXT);
ALTER TABLE branch ADD FOREIGN KEY (manager_id) REFERENCES mechanic;
