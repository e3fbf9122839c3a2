CREATE TABLE breeds (breed_code TEXT PRIMARY KEY, breed_name TEXT);
CREATE TABLE keepers (keeper_id INT PRIMARY KEY, first_name TEXT, last_name TEXT, street TEXT, city TEXT, state TEXT, email_address TEXT);
CREATE TABLE vets (vet_id INT PRIMARY KEY, role_code TEXT, first_name TEXT, last_name TEXT, city TEXT);
CREATE TABLE animals (animal_id INT PRIMARY KEY, keeper_id INT REFERENCES keepers, breed_code TEXT REFERENCES breeds, name TEXT, age INT, weight NUMERIC, gender TEXT, date_arrived DATE, date_adopted DATE);
CREATE TABLE cures (cure_id INT PRIMARY KEY, animal_id INT REFERENCES animals, vet_id INT REFERENCES vets, cure_type TEXT, date_of_cure TIMESTAMP, cost_of_cure NUMERIC);
